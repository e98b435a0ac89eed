"""The pre-trainings that are compared; each changes one thing of another one."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...own_images.presets import ALL_RATIOS, LEARN_PIXELS


@dataclass(frozen=True)
class Row:
    """One pre-training.

    Attributes:
        title: What it is called in the tables.
        why: What it tells, in a sentence.
        config: Its training, ``<config>_dense-study.py`` in the study's folder; None: random start
            values.
        options: What is changed in the config, as ``--cfg-options`` takes it.
        frozen: What is changed in the backbone that reads the frozen tokens.
        tuned: What is changed in the backbone of the detector and the segmentor.
        reads_tokens: The encoder reads the tokens of the study's tokenizer instead of pixels.
        pretrained_as: The row whose checkpoint is taken; None: it has one of its own.
        starts_from: The row that its encoder starts from; None: random start values.
    """

    title: str
    why: str
    config: str | None = 'addp'
    options: Mapping[str, Any] = field(default_factory=dict)
    frozen: Mapping[str, Any] = field(default_factory=dict)
    tuned: Mapping[str, Any] = field(default_factory=dict)
    reads_tokens: bool = False
    pretrained_as: str | None = None
    starts_from: str | None = None


_NO_NORM = dict(pre_norm=False)
_PIXELS = {'model.pixel_head.type': 'PixelHead'}
_HIDDEN = {'model.pixel_head.type': 'MaskedPixelHead'}
_NO_PRE_NORM = {'model.backbone.pre_norm': False}
_NO_DROPOUT = {'model.backbone.drop_rate': 0., 'model.neck.drop_rate': 0.}
_DIFFUSION = 'model.data_preprocessor.diffusion.'
_LOW_RATIOS = {_DIFFUSION + 'mask_ratio.min_ratio': 0.1}
_PER_IMAGE = {_DIFFUSION + 'per_image': True}

ROWS = {
    'scratch': Row('random start values', 'What no pre-training gives.', None),
    'addp': Row('ADDP as in the paper', 'The decoder is told the reliable tokens, so that their '
                'pixels teach the encoder nothing new; and `pre_norm` hides how bright they are.'),
    'addp_norm': Row('the same, `pre_norm` kept in the detector', 'The norm that pre-training had '
                     'behind the position table.', tuned=dict(pre_norm=True), pretrained_as='addp'),
    'no_pre_norm': Row('ADDP without `pre_norm`', 'It brings each patch to one variance, bright or '
                       'dark.', options=_NO_PRE_NORM, frozen=_NO_NORM),
    'no_dropout': Row('ADDP without dropout', 'So small an encoder has nothing to spare.',
                      options=_NO_DROPOUT),
    'no_tokens': Row('ADDP without token input', 'The decoder knows of the reliable tokens only '
                     'what the encoder read from their pixels.',
                     options={'model.neck.token_input': False}),
    'low_ratios': Row('ADDP, ratios from 0.1', 'More of a picture is left to read.',
                      options=_LOW_RATIOS),
    'per_image': Row('ADDP, a ratio for each image', 'Batches differ less from step to step.',
                     options=_PER_IMAGE),
    'pixels': Row('ADDP with clean pixels as second loss', 'Every token must keep what its patch '
                  'shows.', options=_PIXELS),
    'norm_pixels': Row('the same, pixels over mean and deviation of the patch', 'Shapes count, '
                       "brightness does not (MAE's norm_pix).",
                       options=_PIXELS | {'model.pixel_head.norm_pix': True}),
    'hidden_pixels': Row('ADDP with the pixels of hidden patches as second loss', "MAE's task: the "
                         'encoder must know what stands where.', options=_HIDDEN),
    'own': Row('what own images train with', 'Hidden pixels, no `pre_norm`, no dropout, low '
               'ratios, one for each image.', options=LEARN_PIXELS | ALL_RATIOS, frozen=_NO_NORM),
    'warm': Row("ADDP from MAE's weights", 'Clean pixels first, then the noise: the encoder knows '
                'what stands where, and hidden pixels keep it so.',
                options=LEARN_PIXELS | ALL_RATIOS | {'model.pixel_head': dict(
                    type='MaskedPixelHead', repeats=2, loss_weight=10.)},
                frozen=_NO_NORM, starts_from='mae'),
    'mage': Row('MAGE on tokens', 'What the token predictor alone has learned.', 'mage',
                reads_tokens=True, tuned=dict(pre_norm=True)),
    'mae': Row("mmpretrain's MAE", 'The peer: it learns the pixels that it cannot see.', 'mae',
               frozen=_NO_NORM),
}
