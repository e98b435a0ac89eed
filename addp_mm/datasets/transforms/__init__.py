"""Steps of data pipelines."""
from .load_robust_image import LoadRobustImage, log_unreadable
from .seed_transforms import SeedTransforms

__all__ = ['LoadRobustImage', 'SeedTransforms', 'log_unreadable']
