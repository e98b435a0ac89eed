"""The lists of classes are those of the data sets."""
from __future__ import annotations

from pathlib import Path

import pytest
import timm

from addp_mm.datasets.class_lists import class_list

TIMM = Path(timm.__file__).parent / 'data' / '_info'


@pytest.mark.parametrize('name', ['imagenet-a', 'imagenet-r'])
def test_subsets_are_timms_indices_in_order(name: str):
    everything, subset = class_list('imagenet-1k'), class_list(name)
    indices = [int(line) for line in
               (TIMM / f'{name.replace("-", "_")}_indices.txt').read_text().split()]
    assert [everything.index(wnid) for wnid in subset] == indices
    assert len(indices) == 200 and indices == sorted(indices)
    # From the published data sets: the first and last classes.
    assert (indices[:3], indices[-1]) == (
        ([6, 11, 13], 988) if name == 'imagenet-a' else ([1, 2, 4], 988))


def test_folders_in_alphabetical_order_are_in_the_classifiers_order():
    assert len(class_list('imagenet-1k')) == 1000
    for name in ('imagenet-1k', 'imagenet-a', 'imagenet-r'):
        assert list(class_list(name)) == sorted(class_list(name))


def test_unknown_list():
    with pytest.raises(ValueError, match="'imagenet-b', expected one of .*imagenet-a"):
        class_list('imagenet-b')
