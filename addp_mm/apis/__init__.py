"""What tools and programs call: inferencer, trainings, and many images as files."""
from .inferencer import ADDPInferencer

__all__ = ['ADDPInferencer']
