"""Whatever a library raises for a setting becomes one line that names the setting."""
from __future__ import annotations

import numpy as np
import pytest
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.registry import HOOKS, MODELS, OPTIMIZERS, DefaultScope
from torch import nn
from torch.utils.data import DataLoader

from addp_mm.config_errors import errors_explained

CFG = Config(dict(
    default_scope='mmpretrain',
    model=dict(type='TokenHead', bukket=1, part=dict(type='TokenHed')),
    optim_wrapper=dict(optimizer=dict(type='AdamW', lr=-1.))))


class Halves(BaseTransform):
    """A step of a pipeline that needs an image."""

    def transform(self, results: dict) -> dict:
        """Read what may not be there."""
        return dict(results, img=results['img'] // 2)


@pytest.mark.parametrize('build, message', [
    (lambda: MODELS.build(dict(type='TokenHead', bukket=1)), r"'bukket' \(model\.bukket\); did you "
                                                            "mean 'bucket'"),
    (lambda: HOOKS.build(dict(type='SyncBuffersHook', x=1)), "no setting 'x'"),
    (lambda: DataLoader([1], batchsize=2), "did you mean 'batch_size'"),
    (lambda: MODELS.build(dict(type='TokenHed')),
     r"There is no model 'TokenHed' \(model.part.type\); did you mean 'TokenHead'\?"),
    (lambda: MODELS.build('TokenHead'), "must be a dict with a type, got 'TokenHead'"),
    (lambda: OPTIMIZERS.build(dict(type='AdamW', lr=-1., params=nn.Linear(1, 1).parameters())),
     r'AdamW \(optim_wrapper.optimizer.type\) cannot be built: ValueError: Invalid learning rate: '
     r'-1.0 \(adam'),
    (lambda: Halves()(dict()), r"The step Halves of a pipeline fails: KeyError: 'img' \(test_")])
def test_parts_that_fail_are_named(build, message: str):
    with pytest.raises(ValueError, match=message) as caught, errors_explained(CFG), \
            DefaultScope.overwrite_default_scope('mmpretrain'):
        build()
    assert '\n' not in str(caught.value)


def test_other_errors_stay_as_they_are():
    with pytest.raises(TypeError, match='unsupported operand'), errors_explained(Config()):
        _ = 1 + 'a'
    with pytest.raises(ValueError, match=r'The start fails: TypeError: unsupported .*\(test_config'
                       ), errors_explained(Config(), lambda error: 'The start fails'):
        _ = 1 + 'a'


def test_what_the_package_says_itself_stays_as_it_is():
    from addp_mm.datasets.image_reader import decode_image
    with pytest.raises(ValueError, match='^the file is empty$'), errors_explained(CFG, 'No'):
        decode_image(b'')
    with pytest.raises(FileNotFoundError), errors_explained(CFG, 'No'):
        np.load('nowhere.npy')
