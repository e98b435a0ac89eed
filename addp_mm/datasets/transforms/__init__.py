"""Steps of data pipelines."""
from .corrupt_image import CorruptImage
from .load_robust_image import LoadRobustImage, log_unreadable
from .seed_transforms import SeedTransforms

__all__ = ['CorruptImage', 'LoadRobustImage', 'SeedTransforms', 'log_unreadable']
