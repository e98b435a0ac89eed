"""Hooks of mmengine's runner."""
from .atomic_checkpoint_hook import AtomicCheckpointHook
from .effective_batch_hook import EffectiveBatchHook
from .epoch_accumulation_hook import EpochAccumulationHook
from .frozen_weights_hook import FrozenWeightsHook
from .generation_preview_hook import GenerationPreviewHook
from .reconstruction_grid_hook import ReconstructionGridHook
from .seed_iteration_hook import SeedIterationHook

__all__ = [
    'AtomicCheckpointHook', 'EffectiveBatchHook', 'EpochAccumulationHook', 'FrozenWeightsHook',
    'GenerationPreviewHook', 'ReconstructionGridHook', 'SeedIterationHook'
]
