"""What surrounds the method in a training: hooks, optimizer wrappers, strategies, whole files."""
from . import hooks, optim_wrappers, strategies
from .ahead_train_loop import AheadTrainLoop
from .generation_test_loop import GenerationTestLoop

__all__ = ['AheadTrainLoop', 'GenerationTestLoop', 'hooks', 'optim_wrappers', 'strategies']
