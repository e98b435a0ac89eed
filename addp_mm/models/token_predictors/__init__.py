"""Token predictors: distributions over the codes of partly masked token grids."""
from .mage import MAGE

__all__ = ['MAGE']
