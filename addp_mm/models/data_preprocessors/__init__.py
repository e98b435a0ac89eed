"""Data preprocessors."""
from .addp_data_preprocessor import ADDPDataPreprocessor, TokenizingPreprocessor
from .token_data_preprocessor import TokenDataPreprocessor

__all__ = ['ADDPDataPreprocessor', 'TokenDataPreprocessor', 'TokenizingPreprocessor']
