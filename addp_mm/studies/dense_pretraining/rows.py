"""The pre-trainings that are compared; each changes one thing of another one."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


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
_CLEAN = {_DIFFUSION + 'mask_ratio.min_ratio': 0.02, _DIFFUSION + 'mask_ratio.max_ratio': 0.15}
_PER_IMAGE = {_DIFFUSION + 'per_image': True}
_JOINT = {
    'model.pixel_head': dict(
        type='MaskedPixelHead', mask_ratio=0.5, repeats=2, norm_pix=False, loss_weight=10.),
    _DIFFUSION + 'mask_ratio.min_ratio': 0.02,
    _DIFFUSION + 'mask_ratio.std': 0.3,
}


def _epochs(number: int) -> dict[str, Any]:
    """Options that give a training another length."""
    return {'train_cfg.max_epochs': number, 'param_scheduler.1.end': number}


def _encoder_rate(factor: float) -> dict[str, Any]:
    """Options that multiply the encoder's learning rate."""
    names = 'backbone', 'backbone.pos_embed'
    return {'optim_wrapper.paramwise_cfg.custom_keys': {
        name: dict(lr_mult=factor) for name in names}}


ROWS = {
    'scratch': Row('random start values', 'What no pre-training gives.', None),
    'addp': Row('ADDP as in the paper', 'The decoder is told the reliable tokens, so that their '
                'pixels teach the encoder nothing new; and `pre_norm` hides how bright they are.'),
    'addp_norm': Row('ADDP as in the paper, `pre_norm` kept in the detector', 'The norm that '
                     'pre-training had behind the position table.', tuned=dict(pre_norm=True),
                     pretrained_as='addp'),
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
    'norm_pixels': Row('ADDP with clean pixels, over mean and deviation of the patch', 'Shapes '
                       "count, brightness does not (MAE's norm_pix).",
                       options=_PIXELS | {'model.pixel_head.norm_pix': True}),
    'hidden_pixels': Row('ADDP with the pixels of hidden patches as second loss', "MAE's task: the "
                         'encoder must know what stands where.', options=_HIDDEN),
    'joint': Row('ADDP with the pixels of hidden patches, without `pre_norm` and dropout', 'Pixels '
                 'and tokens at once, from random start values, a ratio for each image.',
                 options=_JOINT | _NO_PRE_NORM | _NO_DROPOUT | _PER_IMAGE, frozen=_NO_NORM),
    'clean': Row('ADDP of nearly clean pictures, ratios from 0.02 to 0.15', 'What the encoder '
                 'reads where next to nothing is noise.', options=_CLEAN),
    'warmed': Row('ADDP as in the paper, from the weights of nearly clean pictures', 'Whether '
                  'clean pictures first show the encoder what stands where.',
                  starts_from='clean'),
    'own': Row("ADDP from MAE's weights, the encoder at a tenth of the rate", 'Clean pixels first, '
               'then the noise: what own images train with.', 'own', frozen=_NO_NORM,
               starts_from='mae'),
    'full_rate': Row("ADDP from MAE's weights, the encoder at the full rate", 'It forgets what '
                     'stands where.', 'own', options=_encoder_rate(1.), frozen=_NO_NORM,
                     starts_from='mae'),
    'fixed': Row("ADDP from MAE's weights, the encoder fixed", 'What the token decoder can do '
                 'alone.', 'own', options=_encoder_rate(0.), frozen=_NO_NORM, starts_from='mae'),
    'mage': Row('MAGE on tokens', 'What the token predictor alone has learned.', 'mage',
                reads_tokens=True, tuned=dict(pre_norm=True)),
    'mae': Row("mmpretrain's MAE", 'The peer: it learns the pixels that it cannot see.', 'mae',
               frozen=_NO_NORM),
    'mae_longer': Row("mmpretrain's MAE, 54 epochs instead of 40", "As many minutes as MAE's and "
                      "ADDP's together.", 'mae', frozen=_NO_NORM, options=_epochs(54)),
    'mae_200': Row("mmpretrain's MAE, 200 epochs", 'Whether the detector gains by a longer '
                   'pre-training.', 'mae', frozen=_NO_NORM, options=_epochs(200)),
    'own_200': Row("ADDP from MAE's weights, the encoder at a tenth of the rate, after 200 epochs "
                   'of MAE', 'The same for ADDP.', 'own', frozen=_NO_NORM, starts_from='mae_200'),
}
