"""The three stages of the method, registered in mmpretrain's ``MODELS``."""
from . import addp, mage, vqgan
from .knn_classifier import KNNClassifier

__all__ = ['KNNClassifier', 'addp', 'mage', 'vqgan']
