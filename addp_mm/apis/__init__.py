"""What tools and programs call: inferencer, trainings, and many images as files."""
from ..checkpoints.releases import list_models
from .encoder_folder import ADDPEncoder
from .inferencer import ADDPInferencer

__all__ = ['ADDPEncoder', 'ADDPInferencer', 'list_models']
