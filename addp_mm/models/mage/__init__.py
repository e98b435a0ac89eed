"""Stage 2: MAGE, the token predictor, and its training."""
from .mage import MAGE
from .mage_training import MAGETraining
from .tokens import TokenDataPreprocessor, TokenizingPreprocessor

__all__ = ['MAGE', 'MAGETraining', 'TokenDataPreprocessor', 'TokenizingPreprocessor']
