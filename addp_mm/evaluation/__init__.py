"""Metrics."""
from .codebook_usage import CodebookUsage
from .generation_quality import GenerationQuality
from .masked_token_cross_entropy import MaskedTokenCrossEntropy
from .reconstruction_quality import ReconstructionQuality, psnr, ssim

__all__ = [
    'CodebookUsage', 'GenerationQuality', 'MaskedTokenCrossEntropy', 'ReconstructionQuality',
    'psnr', 'ssim'
]
