"""What surrounds the method in a training: hooks, optimizer wrappers, strategies, whole files."""
from . import hooks, optim_wrappers, strategies
from .ahead_train_loop import AheadTrainLoop
from .checkpoint_loader import load_from_safe_file
from .generation_test_loop import GenerationTestLoop
from .whole_files import AtomicBackend, is_whole, newest_first, read_pointer

__all__ = [
    'AheadTrainLoop', 'AtomicBackend', 'GenerationTestLoop', 'hooks', 'is_whole',
    'load_from_safe_file', 'newest_first', 'optim_wrappers', 'read_pointer', 'strategies'
]
