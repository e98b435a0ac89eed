"""Hooks of mmengine's runner."""
from .atomic_checkpoint_hook import AtomicCheckpointHook
from .batch_statistics_hook import BatchStatisticsHook
from .checkpoint_fit_hook import CheckpointFitHook
from .effective_batch_hook import EffectiveBatchHook
from .epoch_accumulation_hook import EpochAccumulationHook
from .frozen_weights_hook import START_VALUES, FrozenWeightsHook
from .generation_preview_hook import GenerationPreviewHook
from .label_check_hook import LabelCheckHook
from .reconstruction_grid_hook import ReconstructionGridHook
from .seed_iteration_hook import SeedIterationHook

__all__ = [
    'START_VALUES', 'AtomicCheckpointHook', 'BatchStatisticsHook',
    'CheckpointFitHook', 'EffectiveBatchHook', 'EpochAccumulationHook', 'FrozenWeightsHook',
    'GenerationPreviewHook', 'LabelCheckHook', 'ReconstructionGridHook', 'SeedIterationHook'
]
