"""Metrics."""
from .class_subset_accuracy import ClassSubsetAccuracy
from .classifier_confidence import ClassifierConfidence
from .generation_quality import GenerationQuality
from .hidden_pixels import HiddenPixels
from .masked_token_cross_entropy import MaskedTokenCrossEntropy
from .reconstruction_quality import CodebookUsage, ReconstructionQuality, psnr, ssim
from .variation_kept import VariationKept, variation_kept

__all__ = [
    'ClassSubsetAccuracy', 'ClassifierConfidence', 'CodebookUsage', 'GenerationQuality',
    'HiddenPixels', 'MaskedTokenCrossEntropy', 'ReconstructionQuality', 'VariationKept',
    'psnr', 'ssim', 'variation_kept'
]
