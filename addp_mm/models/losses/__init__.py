"""Losses."""
from .adversarial_loss import AdversarialLoss
from .masked_token_loss import TARGETS, MaskedTokenLoss
from .masked_token_score import VAL_RATIOS, score_masked_tokens, val_generator
from .perceptual_loss import PerceptualLoss
from .vq_loss import VQLoss

__all__ = [
    'TARGETS', 'VAL_RATIOS', 'AdversarialLoss', 'MaskedTokenLoss', 'PerceptualLoss', 'VQLoss',
    'score_masked_tokens', 'val_generator'
]
