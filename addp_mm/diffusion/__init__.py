"""The diffusion process: tensors only, no model is known here."""
from .diffusion_process import CONDITIONS, DiffusionProcess
from .mapping import MAPPINGS, check_mapping, map_to_latents, sample_ids
from .mask_schedule import (
                            FixedMaskRatio,
                            MaskRatioDistribution,
                            TruncatedNormalMaskRatio,
                            cosine_ratio,
                            linear_ratio,
)
from .noisy_sample import NoisySample, gather_places
from .token_mask import Generators, Masks, nested_masks, num_masked, remask, uniform_noise

__all__ = [
    'CONDITIONS', 'MAPPINGS', 'DiffusionProcess', 'FixedMaskRatio', 'MaskRatioDistribution',
    'Generators', 'Masks', 'NoisySample', 'TruncatedNormalMaskRatio', 'check_mapping',
    'cosine_ratio', 'gather_places', 'linear_ratio', 'map_to_latents', 'nested_masks',
    'num_masked', 'remask', 'sample_ids', 'uniform_noise'
]
