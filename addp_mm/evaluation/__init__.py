"""Metrics."""
from .class_subset_accuracy import ClassSubsetAccuracy
from .classifier_confidence import ClassifierConfidence
from .generation_quality import GenerationQuality
from .masked_token_cross_entropy import MaskedTokenCrossEntropy
from .reconstruction_quality import CodebookUsage, ReconstructionQuality, psnr, ssim

__all__ = [
    'ClassSubsetAccuracy', 'ClassifierConfidence', 'CodebookUsage', 'GenerationQuality',
    'MaskedTokenCrossEntropy', 'ReconstructionQuality', 'psnr', 'ssim'
]
