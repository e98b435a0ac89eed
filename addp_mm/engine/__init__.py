"""What surrounds the method in a training: hooks, optimizer wrappers, strategies, whole files."""
from . import hooks, optim_wrappers
from .ahead_train_loop import AheadTrainLoop
from .fully_shard_strategy import FullyShardStrategy
from .generation_test_loop import GenerationTestLoop, ImageIndices

__all__ = [
    'AheadTrainLoop', 'FullyShardStrategy', 'GenerationTestLoop', 'ImageIndices', 'hooks',
    'optim_wrappers'
]
