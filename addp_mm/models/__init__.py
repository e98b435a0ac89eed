"""The parts of the method, registered in mmpretrain's ``MODELS``."""
from . import (
    algorithms,
    backbones,
    data_preprocessors,
    decoders,
    discriminators,
    heads,
    losses,
    token_predictors,
    tokenizers,
)

__all__ = [
    'algorithms', 'backbones', 'data_preprocessors', 'decoders', 'discriminators',
    'heads', 'losses', 'token_predictors', 'tokenizers'
]
