"""Discriminators for the training of a tokenizer."""
from .patch_discriminator import PatchDiscriminator

__all__ = ['PatchDiscriminator']
