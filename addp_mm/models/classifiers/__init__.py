"""Classifiers beside mmpretrain's own."""
from .knn_classifier import KNNClassifier

__all__ = ['KNNClassifier']
