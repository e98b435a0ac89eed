"""What tools and programs call: inferencer, trainings, and many images as files."""
from ..checkpoints.releases import list_models
from .inferencer import ADDPInferencer

__all__ = ['ADDPInferencer', 'list_models']
