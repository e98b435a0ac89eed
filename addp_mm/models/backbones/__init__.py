"""Encoders; any other one of mmpretrain or timm is named by its own type in a config."""
from .addp_vit import ADDPViT
from .encoder_weights import EncoderLoad, PretrainedEncoder, find_encoder, load_encoder

__all__ = ['ADDPViT', 'EncoderLoad', 'PretrainedEncoder', 'find_encoder', 'load_encoder']
