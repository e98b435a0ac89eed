"""ADDP (arXiv 2306.05423) for OpenMMLab; importing it registers its parts with mmpretrain."""
from .quiet_import import without_onedl_line
from .version import __version__

with without_onedl_line():
    from . import dense  # first: mmpretrain looks for mmdet, and that for mmcv's operations
    # isort: split
    from . import datasets, engine, evaluation, generation, models

__all__ = ['__version__', 'datasets', 'dense', 'engine', 'evaluation', 'generation', 'models']
