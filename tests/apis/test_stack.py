"""What the two stacks of OpenMMLab libraries do differently is said before a run."""
from __future__ import annotations

import pytest
from mmengine.config import Config

from addp_mm.apis import stack
from tests.helpers.dense_runs import needs_dense

pytestmark = needs_dense


def config(**losses) -> Config:
    return Config(dict(model={head: dict(loss_decode=loss) for head, loss in losses.items()}))


WEIGHTED = config(decode_head=[dict(type='DiceLoss'), dict(class_weight=[.1, 1.])],
                  auxiliary_head=dict(class_weight=[.1, 1.]))


def test_class_weights_beside_ignored_pixels():
    stack.check_class_weights(config(decode_head=dict(type='CrossEntropyLoss')))
    if stack.weighs_ignored_pixels():
        stack.check_class_weights(WEIGHTED)
        return
    with pytest.raises(ValueError, match='model.decode_head.loss_decode.class_weight=None '
                                         'model.auxiliary_head.loss_decode.class_weight=None'):
        stack.check_class_weights(WEIGHTED)
