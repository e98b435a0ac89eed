"""Stage 1: the VQGAN tokenizer, its layers, its codebook and its training; others' tokenizers."""
from .adversarial_loss import AdversarialLoss
from .codebook_training import CodebookTraining, straight_through
from .diffusers_vq_model import DiffusersVQModel
from .patch_discriminator import PatchDiscriminator
from .perceptual_loss import PerceptualLoss
from .vq_loss import VQLoss
from .vqgan import VQGAN, Codebook
from .vqgan_training import VQGANTraining

__all__ = [
    'AdversarialLoss', 'Codebook', 'CodebookTraining', 'DiffusersVQModel', 'PatchDiscriminator',
    'PerceptualLoss', 'VQGAN', 'VQGANTraining', 'VQLoss', 'straight_through'
]
