"""Pre-trained weights of an encoder: taken from whatever file has them, or an error.

mmengine's ``init_cfg=dict(type='Pretrained', checkpoint=..., prefix='backbone.')`` only warns when
a file does not fit, and trains from random weights. Importing this module puts
:class:`PretrainedInit` in its place under the same name: every backbone of mmpretrain, ``ResNet``
and ``TIMMBackbone`` included, is then loaded by :func:`load_encoder`; any other module, for example
a whole classifier, as mmengine does it.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import mmengine.model
from mmengine.logging import MMLogger
from mmengine.model import BaseModule, update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS
from mmengine.runner.checkpoint import CheckpointLoader
from mmpretrain.models.backbones import VisionTransformer
from mmpretrain.models.backbones.base_backbone import BaseBackbone
from torch import Tensor, nn

from .converters import Conversion, convert_to_encoder
from .position_tables import resize_position_table
from .weight_files import state_dict_of

# What no pre-training has: mmpretrain's norm after pooling, and a counter of older batch norms.
NEW_PARAMETERS = ('ln2.*', '*num_batches_tracked')
_MAX_LISTED = 4


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
        ValueError: If tensors of the encoder are not in the file or have other shapes, or the
            file is of a deeper encoder.
    """
    content = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu', logger='silent')
    try:
        conversion = find_encoder(encoder, state_dict_of(content, checkpoint), prefix)
        load = _load(encoder, conversion)
    except ValueError as error:
        raise ValueError(f'{checkpoint} does not fit the {type(encoder).__name__}: '
                         f'{error}') from error
    MMLogger.get_current_instance().info(f'{type(encoder).__name__} from {checkpoint}: {load}')
    return load


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


def _load(encoder: nn.Module, conversion: Conversion) -> EncoderLoad:
    own = {name: tensor.shape for name, tensor in encoder.state_dict().items()}
    given = conversion.weights
    new = _check_names(own, given, getattr(encoder, 'new_parameters', ()))
    fitting = _fit_position_table(encoder, given)
    try:
        encoder.load_state_dict(fitting, strict=False)
    except RuntimeError as error:
        mismatches = [line.strip() for line in str(error).splitlines() if 'mismatch' in line]
        raise ValueError('it is of another architecture. '
                         f'{" ".join(mismatches[:_MAX_LISTED]) or error}') from error
    loaded = tuple(name for name in own if name in given)
    return EncoderLoad(
        loaded=loaded,
        resized=tuple(name for name in loaded if given[name].shape != own[name]),
        left_out=(*(name for name in given if name not in own), *conversion.dropped),
        new=new)


def _check_names(own: Iterable[str], given: Mapping[str, Tensor],
                 new_parameters: Iterable[str]) -> tuple[str, ...]:
    """Raise if tensors are missing or layers are left over; returns the new ones."""
    absent = [name for name in own if name not in given]
    may_be_new = (*NEW_PARAMETERS, *new_parameters)
    new = tuple(name for name in absent if any(fnmatchcase(name, p) for p in may_be_new))
    missing = [name for name in absent if name not in new]
    if missing:
        raise ValueError(
            f'{len(missing)} of its {len(list(own))} tensors are not in the file: '
            f'{_listed(missing)}. The file has {len(given)}: {_listed(given)}. Name a checkpoint '
            'of the same encoder, and its place in the file as `prefix`.')
    stems = {stem for name in own for stem in _stems(name)}
    deeper = [name for name in given if _is_deeper(name, stems)]
    if deeper:
        raise ValueError(f'the file is of a deeper encoder, which has {_listed(deeper)} as well. '
                         'Name a checkpoint of the same architecture.')
    return new


def _is_deeper(name: str, stems: set[str]) -> bool:
    """Whether a name counts on where the encoder's stop: 'layers.12' where 'layers.11' is last."""
    return any(stem.rpartition('.')[2].isdigit() and stem not in stems
               and stem.rpartition('.')[0] in stems for stem in _stems(name))


def _stems(name: str) -> list[str]:
    """'a.0.weight' -> ['a', 'a.0']."""
    parts = name.split('.')
    return ['.'.join(parts[:i]) for i in range(1, len(parts))]


def _fit_position_table(encoder: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Bring a ViT's table to its grid, and drop the row of CLS for one without."""
    if not isinstance(encoder, VisionTransformer) or 'pos_embed' not in weights:
        return weights
    num_extra = 1 if 'cls_token' in weights else 0
    table = resize_position_table(weights['pos_embed'], encoder.patch_resolution, num_extra)
    return {**weights, 'pos_embed': table[:, max(0, num_extra - encoder.num_extra_tokens):]}


def _parts(names: Iterable[str]) -> str:
    """How many tensors there are of each part: ' (neck 105, pre_norm 2)'."""
    counts = Counter(name.partition('.')[0] for name in names)
    return f' ({", ".join(f"{part} {count}" for part, count in counts.items())})' if counts else ''


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    return ', '.join(names[:_MAX_LISTED]) + (', ...' if len(names) > _MAX_LISTED else '')


@WEIGHT_INITIALIZERS.register_module(name='Pretrained', force=True)
class PretrainedInit(mmengine.model.PretrainedInit):
    """mmengine's initializer of the same name, which stops where a backbone does not fit.

    Args:
        checkpoint: Path or URL.
        prefix: Where the module stands in the file.
        map_location: See mmengine's; a backbone takes its weights from the CPU.
    """

    def __call__(self, module: nn.Module) -> None:
        """Load the weights of ``module``."""
        if not isinstance(module, BaseBackbone):
            super().__call__(module)
            return
        load_encoder(module, self.checkpoint, self.prefix)
        if hasattr(module, '_params_init_info'):
            update_init_info(module, init_info=self._get_init_info())


class PretrainedEncoder:
    """Start values of an encoder, and the pre-trained ones over them; before a ``BaseModule``.

    Attributes:
        new_parameters: Patterns (of ``fnmatch``) of parameters that no pre-training has, which may
            be missing from its file and keep their start values.
    """

    new_parameters: tuple[str, ...] = ()

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
