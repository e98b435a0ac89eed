"""ADDP (arXiv 2306.05423) for OpenMMLab; importing it registers its parts with mmpretrain."""
import warnings

# mmcv without compiled operations says so at every import; nothing here uses the one it names.
warnings.filterwarnings('ignore', 'Fail to import ``MultiScaleDeformableAttention``')

from . import datasets, dense, engine, evaluation, generation, models  # noqa: E402
from .version import __version__  # noqa: E402

__all__ = ['__version__', 'datasets', 'dense', 'engine', 'evaluation', 'generation', 'models']
