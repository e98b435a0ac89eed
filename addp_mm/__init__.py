"""ADDP (arXiv 2306.05423) for OpenMMLab; importing it registers its parts with mmpretrain."""
from . import datasets, engine, evaluation, generation, models
from .version import __version__

__all__ = ['__version__', 'datasets', 'engine', 'evaluation', 'generation', 'models']
