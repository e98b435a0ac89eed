"""Layer-wise learning rate decay for detectors and segmentors."""
from __future__ import annotations

from functools import partial
from typing import Any

from mmengine.logging import MMLogger
from mmpretrain.engine.optimizers import LearningRateDecayOptimWrapperConstructor
from torch import nn

from ...registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class BackboneLayerDecayConstructor(LearningRateDecayOptimWrapperConstructor):
    """mmpretrain's layer-wise decay for any model that has an encoder in ``backbone``.

    mmpretrain's own asks the whole model for the depth of a parameter, which its classifiers know
    and the models of mmdet and mmseg do not. This asks the encoder; what is not of the encoder
    trains at the full rate. Settings (``paramwise_cfg``) are the parent's: ``layer_decay_rate``,
    ``norm_decay_mult``, ``bias_decay_mult``, ``flat_decay_mult`` and ``custom_keys``.

    Raises:
        ValueError: If the encoder does not know the depth of its parameters.
    """

    def add_params(self, params: list[dict], module: nn.Module, **kwargs) -> None:
        """Add the parameters of a module; ``module`` is the whole model at first.

        Args:
            params: Parameter groups, to which one per parameter is added.
            module: The model.
            **kwargs: The parent's, in its calls for the parts of the model.
        """
        if 'get_layer_depth' not in kwargs:
            if not hasattr(module, 'backbone'):     # the stand-in of mmpretrain's vis_scheduler
                MMLogger.get_current_instance().warning(
                    'The model has no backbone: all of it trains at the full rate.')
                super().add_params(params, module, get_layer_depth=_above_all_layers, **kwargs)
                return
            backbone: Any = module.backbone
            if not hasattr(backbone, 'get_layer_depth'):
                raise ValueError(
                    'Layer-wise decay expects an encoder with get_layer_depth in model.backbone, '
                    f'got {type(backbone).__name__}: set optim_wrapper.constructor='
                    '\'DefaultOptimWrapperConstructor\' for this one.')
            kwargs['get_layer_depth'] = partial(backbone.get_layer_depth, prefix='backbone.')
        super().add_params(params, module, **kwargs)


def _above_all_layers(name: str) -> tuple[int, int]:
    return 0, 1
