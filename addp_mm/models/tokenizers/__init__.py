"""VQ tokenizers."""
from .codebook import Codebook
from .codebook_training import CodebookTraining, straight_through
from .vqgan import VQGAN

__all__ = ['Codebook', 'CodebookTraining', 'VQGAN', 'straight_through']
