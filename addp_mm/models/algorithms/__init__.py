"""Algorithms: what the runner trains."""
from .addp import ADDP
from .mage_training import MAGETraining
from .vqgan_training import VQGANTraining

__all__ = ['ADDP', 'MAGETraining', 'VQGANTraining']
