"""The parts of the method, registered in mmpretrain's ``MODELS``."""
from . import (
    algorithms,
    backbones,
    classifiers,
    data_preprocessors,
    decoders,
    discriminators,
    heads,
    losses,
    token_predictors,
    tokenizers,
)

__all__ = [
    'algorithms', 'backbones', 'classifiers', 'data_preprocessors', 'decoders',
    'discriminators', 'heads', 'losses', 'token_predictors', 'tokenizers'
]
