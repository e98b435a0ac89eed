"""The three stages of the method, registered in mmpretrain's ``MODELS``."""
from . import addp, mage, vqgan
from .knn_classifier import KNNClassifier
from .mae_training import MAETraining

__all__ = ['KNNClassifier', 'MAETraining', 'addp', 'mage', 'vqgan']
