"""Pre-trained weights of an encoder: taken from whatever file has them, or an error.

mmengine's ``init_cfg=dict(type='Pretrained', checkpoint=..., prefix='backbone.')`` only warns when
a file does not fit, and trains from random weights. Importing this module puts
:class:`PretrainedInit` in its place under the same name. The encoders of this package are then
loaded by :func:`load_encoder`, and its other models whole or not at all. Everyone else's modules
load as mmengine does it; ``must_fit=True``, which ADDP sets for its encoder, also stops there when
little of the file fits.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import mmengine.model
import torch
from mmengine.logging import MMLogger
from mmengine.model import BaseModule, update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS
from mmengine.runner.checkpoint import CheckpointLoader
from mmpretrain.models.backbones import VisionTransformer
from mmpretrain.models.backbones.base_backbone import BaseBackbone
from torch import Tensor, nn

from ..name_lists import listed
from .converters import Conversion, convert_to_encoder
from .finite_weights import check_finite
from .fit import (
    NEW_PARAMETERS,
    beyond,
    check_foreign_encoder,
    check_start,
    load_what_fits,
)
from .module_notes import noted_grid, renamed, with_notes
from .position_tables import fit_encoder_table
from .run_settings import OTHER_MODEL
from .trained_encoder import other_heads
from .weight_files import meta_of, state_dict_of


@dataclass(frozen=True)
class EncoderLoad:
    """What was done with the tensors of a file.

    Args:
        loaded: Names of the encoder's tensors that were loaded.
        resized: Those of them that got another shape: position tables.
        left_out: Names of the tensors that the encoder does not have: as an encoder would call
            them where they are of one, else as in the file.
        new: Names of the encoder's tensors that keep their start values.
    """
    loaded: tuple[str, ...]
    resized: tuple[str, ...]
    left_out: tuple[str, ...]
    new: tuple[str, ...]

    def __str__(self) -> str:
        return (f'loaded {len(self.loaded)}, resized {len(self.resized)}{_parts(self.resized)}, '
                f'left out {len(self.left_out)}{_parts(self.left_out)}, new {len(self.new)}'
                f'{_parts(self.new)} tensors')


def load_encoder(encoder: nn.Module, checkpoint: str, prefix: str | None = None) -> EncoderLoad:
    """Load the weights of an encoder and say in one line of the log what was done.

    A warning says where the features are others than those of the pre-training, though the tensors
    fit: by other heads, or by what is left out.

    The file may be a checkpoint of our pre-training, of a fine-tuned classifier, of mmdet or of
    mmseg, an encoder alone, or a released ADDP; for an encoder that reads tokens a MAGE, ours or
    released. Position tables are resized to the encoder's grid. ``pre_norm`` is left out for an
    encoder without it, as the reference does for fine-tuning.

    Args:
        encoder: The encoder. Patterns in its ``new_parameters``, besides
            :data:`NEW_PARAMETERS`, name what may be missing from the file.
        checkpoint: Path or URL.
        prefix: Where the encoder stands in the file; None: 'backbone.'. A file without such names
            is taken whole.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If tensors of the encoder are not in the file, have other shapes or are not
            finite, or the file is of a deeper encoder.
    """
    content = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu', logger='silent')
    try:
        weights, load = fit_encoder(
            encoder, find_encoder(encoder, state_dict_of(content, checkpoint), prefix))
        _load(encoder, weights)
    except ValueError as error:
        raise ValueError(f'{checkpoint} does not fit the {type(encoder).__name__}: '
                         f'{error}') from error
    _check_loaded(encoder, load.loaded, checkpoint)
    meta = meta_of(content)
    if changes := other_heads(meta, encoder):
        MMLogger.get_current_instance().warning(OTHER_MODEL.format(checkpoint, changes))
    if isinstance(encoder, PretrainedEncoder):
        encoder.pretrained = (checkpoint, meta)
    say_what_was_loaded(encoder, load, checkpoint, getattr(encoder, 'frozen_stages', -1) > 0)
    return load


def say_what_was_loaded(encoder: nn.Module, load: EncoderLoad, checkpoint: str,
                        is_frozen: bool) -> None:
    """Say in one line of the log what was loaded, and warn where features are others by it.

    Args:
        encoder: The encoder.
        load: What was done.
        checkpoint: What to call the file.
        is_frozen: Whether the encoder will not learn to do without what was left out.
    """
    logger = MMLogger.get_current_instance()
    logger.info(f'{type(encoder).__name__} from {checkpoint}: {load}')
    positions = [name for name in load.left_out if fnmatchcase(name, 'layers.*rel*pos*')]
    if positions:
        logger.warning(f'{checkpoint} was trained with relative positions, which the '
                       f'{type(encoder).__name__} does not have: {len(positions)} tables '
                       f'({listed(positions)}) are left out, and its features are others.')
    if is_frozen and 'pre_norm.weight' in load.left_out:
        logger.warning(f'{checkpoint} was trained with pre_norm, which the frozen '
                       f'{type(encoder).__name__} does not have: its features are others. Set '
                       'pre_norm=True to read them as they were pre-trained.')


def find_encoder(encoder: nn.Module, weights: Mapping[str, Tensor],
                 prefix: str | None = None) -> Conversion:
    """Take the tensors for an encoder, of pixels or of tokens, out of those of a file.

    Args:
        encoder: The encoder.
        weights: Tensors of the file.
        prefix: See :func:`load_encoder`.

    Returns:
        The tensors by the encoder's names; whether any is missing is not looked at.

    Raises:
        ValueError: If the file is of a MAGE and the encoder reads pixels, or lacks tensors.
    """
    reads_tokens_of = getattr(getattr(encoder, 'patch_embed', None), 'num_codes', None)
    return convert_to_encoder(weights, prefix, reads_tokens_of)


def fit_encoder(encoder: nn.Module,
                conversion: Conversion) -> tuple[dict[str, Tensor], EncoderLoad]:
    """Bring the tensors of a file into the form in which an encoder loads them.

    Args:
        encoder: The encoder; nothing is loaded.
        conversion: What :func:`find_encoder` found.

    Returns:
        The tensors, and what will be done with them.

    Raises:
        ValueError: If tensors of the encoder are missing, or the file is of a deeper encoder.
    """
    own = encoder.state_dict()
    given = fold_layer_scales(conversion.weights, own)
    new = _check_names(own, given, getattr(encoder, 'new_parameters', ()))
    loaded = tuple(name for name in own if name in given)
    return _fit_position_table(encoder, given), EncoderLoad(
        loaded=loaded,
        resized=tuple(name for name in loaded if given[name].shape != own[name].shape or (
            'pos' in name and noted_grid(given, name) != noted_grid(own, name)
            and noted_grid(given, name) is not None)),
        left_out=(*(name for name in given if name not in own), *conversion.dropped),
        new=new)


def _load(encoder: nn.Module, weights: Mapping[str, Tensor]) -> None:
    try:
        encoder.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        mismatches = [line.strip() for line in str(error).splitlines() if 'mismatch' in line]
        raise ValueError('it is of another architecture. '
                         f'{" ".join(mismatches[:3]) or error}') from error


def _check_names(own: Iterable[str], given: Mapping[str, Tensor],
                 new_parameters: Iterable[str]) -> tuple[str, ...]:
    """Raise if tensors are missing or layers are left over; returns the new ones."""
    absent = [name for name in own if name not in given]
    may_be_new = (*NEW_PARAMETERS, *new_parameters)
    new = tuple(name for name in absent if any(fnmatchcase(name, p) for p in may_be_new))
    missing = [name for name in absent if name not in new]
    if missing:
        missing = [name for name in absent if name in missing or name == 'cls_token']
        raise ValueError(
            f'{len(missing)} of its {len(list(own))} tensors are not in the file: '
            f'{listed(missing)}. The file has {len(given)}: {listed(given)}. Name a checkpoint '
            'of the same encoder, and its place in the file as `prefix`.')
    deeper = beyond(given, own)
    if deeper:
        raise ValueError(f'the file is of a deeper encoder, which has {listed(deeper)} as well. '
                         'Name a checkpoint of the same architecture.')
    return new


def _fit_position_table(encoder: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give a ViT's table the row of CLS if it has none, and mmpretrain's own ViT its grid."""
    table = weights.get('pos_embed')
    if not isinstance(encoder, VisionTransformer) or table is None:
        return weights
    if table.ndim == 3 and encoder.with_cls_token and 'cls_token' not in weights:   # starts anew
        table = torch.cat((encoder.pos_embed[:, :1].detach(), table), dim=1)
    fitting = with_notes({**weights, 'pos_embed': table}, weights)
    if not isinstance(encoder, PretrainedEncoder):
        fit_encoder_table(encoder, fitting, from_grid=noted_grid(weights, 'pos_embed'))
    return fitting


def fold_layer_scales(weights: Mapping[str, Tensor], own: Iterable[str]) -> dict[str, Tensor]:
    """Multiply learned scales of layers into the products before them, for an encoder without.

    Args:
        weights: Tensors of a file, by the encoder's names; not changed.
        own: Names of the encoder's tensors.

    Returns:
        The tensors with which the encoder computes the same.
    """
    folded = with_notes(weights, weights)
    for scale, product in (('attn.gamma1.weight', 'attn.proj'), ('ffn.gamma2.weight',
                                                                 'ffn.layers.1')):
        for name in [n for n in weights if n.endswith(f'.{scale}') and n not in own]:
            layer = name.removesuffix(scale)
            if not all(f'{layer}{product}.{part}' in folded for part in ('weight', 'bias')):
                continue                # of other layers: the check of names says so
            gamma = folded.pop(name)
            for part in ('weight', 'bias'):
                tensor = folded[f'{layer}{product}.{part}']
                folded[f'{layer}{product}.{part}'] = (tensor.mT * gamma).mT if (
                    part == 'weight') else tensor * gamma
    return folded


def _check_loaded(module: nn.Module, loaded: Iterable[str], checkpoint: str) -> None:
    """See that what a file gave a module is finite; its other parts need not be."""
    own = module.state_dict()
    check_finite({name: own[name] for name in loaded}, checkpoint)


def _parts(names: Iterable[str]) -> str:
    """How many tensors there are of each part: ' (neck 105, pre_norm 2)'."""
    counts = Counter(name.partition('.')[0] for name in names)
    return f' ({", ".join(f"{part} {count}" for part, count in counts.items())})' if counts else ''


@WEIGHT_INITIALIZERS.register_module(name='Pretrained', force=True)
class PretrainedInit(mmengine.model.PretrainedInit):
    """mmengine's initializer of the same name, which stops where our models do not fit.

    Args:
        checkpoint: Path or URL.
        prefix: Where the module stands in the file.
        map_location: See mmengine's; modules of this package take their weights from the CPU.
        must_fit: Stop also for a module of another library, if less than nine tenths of its values
            come from the file or that is of a deeper module.
    """

    def __init__(self, checkpoint: str, prefix: str | None = None, map_location: str = 'cpu',
                 must_fit: bool = False) -> None:
        super().__init__(checkpoint, prefix, map_location)
        self.must_fit = must_fit

    def __call__(self, module: nn.Module) -> None:
        """Load the weights of ``module``.

        Raises:
            ValueError: If they do not fit, see the class.
        """
        package = f'{__package__.partition(".")[0]}.'
        is_own = any(kind.__module__.startswith(package) for kind in type(module).__mro__)
        if not is_own and not self.must_fit:
            super().__call__(module)
            return
        if is_own and isinstance(module, BaseBackbone):
            load_encoder(module, self.checkpoint, self.prefix)
        else:
            self._load(module, is_own)
        if hasattr(module, '_params_init_info'):
            update_init_info(module, init_info=self._get_init_info())

    def _load(self, module: nn.Module, is_own: bool) -> None:
        content = CheckpointLoader.load_checkpoint(self.checkpoint, self.map_location, 'silent')
        prefix = f'{self.prefix.rstrip(".")}.' if self.prefix else ''
        whole = state_dict_of(content, self.checkpoint)
        names = {name.removeprefix(prefix): name for name in whole if name.startswith(prefix)}
        fit = load_what_fits(module, renamed(whole, names) if prefix else whole)
        _check_loaded(module, fit.loaded, self.checkpoint)
        if is_own:
            notes = check_start(module, fit, self.checkpoint)
        else:
            check_foreign_encoder(module, fit, self.checkpoint)
            notes = [f'{self.checkpoint}: {fit}.'] if fit.unloaded else []
        logger = MMLogger.get_current_instance()
        for note in notes:
            logger.warning(note)
        logger.info(f'{type(module).__name__} from {self.checkpoint}: {fit}.')


def demand_fit(module: nn.Module) -> None:
    """Let what ``init_cfg`` names for a module of another library fit, or stop."""
    cfgs = getattr(module, 'init_cfg', None) or []
    for cfg in cfgs if isinstance(cfgs, list) else [cfgs]:
        if _is_pretrained(cfg):
            cfg['must_fit'] = True


class PretrainedEncoder:
    """Start values of an encoder, and the pre-trained ones over them; before a ``BaseModule``.

    Attributes:
        new_parameters: Patterns (of ``fnmatch``) of parameters that no pre-training has, which may
            be missing from its file and keep their start values.
        pretrained: The file that was loaded, and what it says about its weights.
    """

    new_parameters: tuple[str, ...] = ()
    pretrained: tuple[str, dict] = ('', {})
    is_init: bool                                               # of the BaseModule
    init_cfg: dict | list[dict] | None

    def init_start_values(self) -> None:
        """Draw the start values of every parameter."""
        raise NotImplementedError

    def init_weights(self) -> None:
        """Draw the start values and load what ``init_cfg`` names, see :func:`load_encoder`."""
        if self.is_init:
            BaseModule.init_weights(self)                       # which says so
            return
        whole = self.init_cfg
        cfgs = whole if isinstance(whole, list) else [whole] if whole else []
        self.init_cfg = [cfg for cfg in cfgs if not _is_pretrained(cfg)]
        BaseModule.init_weights(self)
        self.init_start_values()
        self.init_cfg = whole
        for cfg in filter(_is_pretrained, cfgs):
            PretrainedInit(**{k: v for k, v in cfg.items() if k != 'type'})(self)


def _is_pretrained(cfg: dict) -> bool:
    return cfg['type'] in ('Pretrained', mmengine.model.PretrainedInit, PretrainedInit)
