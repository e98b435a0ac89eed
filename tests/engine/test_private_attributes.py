"""The private attributes of mmengine and mmpretrain that this package relies on.

Each is listed with its reason in CONTRIBUTING.md. When a new release breaks one, this test says
which one has moved, and the other failures follow from it.
"""
from __future__ import annotations

import inspect
import re
from pathlib import Path

import mmengine.runner
import pytest
from mmengine.model import BaseModule
from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop, FlexibleRunner, IterBasedTrainLoop, Runner
from mmpretrain.models import VisionTransformer

CONTRIBUTING = Path(__file__).resolve().parents[2] / 'CONTRIBUTING.md'
PACKAGE = CONTRIBUTING.parent / 'addp_mm'
# Of each class: the attributes that its code sets or defines.
PRIVATE = {
    Runner: ('_load_from', '_resume', '_train_loop', '_randomness_cfg'),
    FlexibleRunner: ('_load_from', '_resume', '_train_loop', '_randomness_cfg', '_auto_scale_lr'),
    OptimWrapper: ('_accumulative_counts', '_inner_count'),
    EpochBasedTrainLoop: ('_decide_current_val_interval', ),
    IterBasedTrainLoop: ('_decide_current_val_interval', ),
    VisionTransformer: ('_freeze_stages', '_format_output'),
    mmengine.model.PretrainedInit: ('_get_init_info', ),
    BaseModule: ('_params_init_info', ),
}


@pytest.mark.parametrize(('cls', 'name'), [
    (cls, name) for cls, names in PRIVATE.items() for name in names
])
def test_it_is_still_there(cls: type, name: str):
    source = ''.join(inspect.getsource(base) for base in cls.__mro__
                     if base.__module__.startswith(('mmengine', 'mmpretrain')))
    assert re.search(rf'self\.{name}\b|def {name}\b', source), (
        f'{cls.__module__}.{cls.__name__} has no {name} any more: see what takes its place, and '
        'mend what CONTRIBUTING.md names beside it.')


def test_each_one_is_listed_with_its_reason():
    listed = set(re.findall(r'^\| `(_\w+)`', CONTRIBUTING.read_text(encoding='utf-8'), re.M))
    assert listed == {name for names in PRIVATE.values() for name in names}


def test_no_other_one_of_a_runner_is_used():
    used = set()
    for path in PACKAGE.rglob('*.py'):
        used |= set(re.findall(r'\b(?:runner|wrapper|loop)\.(_[a-z]\w*)',
                               path.read_text(encoding='utf-8')))
    assert used <= {name for names in PRIVATE.values() for name in names}
