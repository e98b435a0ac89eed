"""The classes of ImageNet-1k and of the data sets that test its classifiers."""
from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

# timm's files of WordNet ids, one a line, in the order of a classifier's outputs.
CLASS_LISTS = {
    'imagenet-1k': 'imagenet_synsets.txt',
    'imagenet-a': 'imagenet_a_synsets.txt',
    'imagenet-r': 'imagenet_r_synsets.txt',
}


@cache
def class_list(name: str) -> tuple[str, ...]:
    """Read the WordNet ids of a data set's classes from what timm ships.

    Args:
        name: 'imagenet-1k' (1000 classes, also those of ImageNet-C and ImageNet-Sketch),
            'imagenet-a' or 'imagenet-r' (200 of them, not the same ones).

    Returns:
        The ids, such as 'n01440764', sorted.

    Raises:
        ValueError: If the name is unknown, or timm is missing or does not have the list.
    """
    if name not in CLASS_LISTS:
        raise ValueError(f'Unknown list of classes {name!r}, expected one of {list(CLASS_LISTS)} '
                         'or the names themselves.')
    timm = find_spec('timm')     # importing it would take seconds
    path = timm and Path(timm.origin).parent / 'data' / '_info' / CLASS_LISTS[name]
    if not path or not path.is_file():
        raise ValueError(f'The classes of {name} are read from timm, which has no '
                         f'{CLASS_LISTS[name]} here: pip install "timm>=1.0".')
    return tuple(path.read_text(encoding='utf-8').split())
