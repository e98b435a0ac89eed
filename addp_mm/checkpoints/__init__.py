"""Everything about weight files: read, write, convert, and find the newest whole one."""
from . import mmengine_loader  # noqa: F401  (mmengine reads through it)
from .download import fetch, releases_folder
from .local_backend import AtomicBackend
from .position_tables import resize_position_table, resize_tables_on_load
from .pretrained_init import (
    EncoderLoad,
    PretrainedEncoder,
    demand_fit,
    find_encoder,
    fit_encoder,
    load_encoder,
    say_what_was_loaded,
)
from .releases import RELEASES, Release, find_release, list_models
from .run_folder import is_whole, newest_first, read_pointer

__all__ = [
    'AtomicBackend', 'EncoderLoad', 'PretrainedEncoder', 'RELEASES', 'Release', 'demand_fit',
    'fetch', 'find_encoder', 'find_release', 'fit_encoder', 'is_whole', 'list_models',
    'load_encoder', 'newest_first', 'read_pointer', 'releases_folder', 'resize_position_table',
    'resize_tables_on_load', 'say_what_was_loaded'
]
