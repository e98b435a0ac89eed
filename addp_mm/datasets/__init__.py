"""Data sets and their pipelines."""
from . import transforms
from .digits import write_digits
from .image_folder import ImageFolder
from .image_indices import ImageIndices

__all__ = ['ImageFolder', 'ImageIndices', 'transforms', 'write_digits']
