"""Everything about weight files: read, write, convert, and find the newest whole one."""
from . import mmengine_loader  # noqa: F401  (mmengine reads through it)
from .local_backend import AtomicBackend
from .position_tables import resize_position_table, resize_tables_on_load
from .pretrained_init import (
    EncoderLoad,
    PretrainedEncoder,
    demand_fit,
    find_encoder,
    load_encoder,
)
from .run_folder import is_whole, newest_first, read_pointer

__all__ = [
    'AtomicBackend', 'EncoderLoad', 'PretrainedEncoder', 'demand_fit', 'find_encoder', 'is_whole',
    'load_encoder', 'newest_first', 'read_pointer', 'resize_position_table', 'resize_tables_on_load'
]
