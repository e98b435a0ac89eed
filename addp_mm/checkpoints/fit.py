"""Whether the weights of a file are those of a model: what fits, what does not, and when to stop.

A part is a direct child of a model: 'backbone', 'neck', 'head'.
"""
from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from torch import Tensor, nn

from ..name_lists import listed
from .module_notes import with_notes

# What no pre-training has: mmpretrain's norm after pooling, and a counter of older batch norms.
NEW_PARAMETERS = ('ln2.*', '*num_batches_tracked')
_ENOUGH = 0.9       # of the values of a foreign encoder


@dataclass(frozen=True)
class Fit:
    """What became of the tensors of a file and of a model.

    Args:
        loaded: Names of the model's tensors that were loaded.
        missing: Names of the model's tensors that are not in the file.
        other_sizes: Names of the tensors that have another shape in the file.
        left_over: Names of the file's tensors that the model does not have.
        mismatches: What torch says of the other shapes.
    """
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    other_sizes: tuple[str, ...]
    left_over: tuple[str, ...]
    mismatches: tuple[str, ...] = ()

    @property
    def unloaded(self) -> tuple[str, ...]:
        """Names of the model's tensors that keep their values."""
        return self.missing + self.other_sizes

    def __str__(self) -> str:
        num = len(self.loaded) + len(self.unloaded)
        sizes = f', {_few(self.other_sizes)} of another size' if self.other_sizes else ''
        return (f'{len(self.loaded)} of {num} tensors fit, {_few(self.missing)} missing, '
                f'{_few(self.left_over)} left over{sizes}')


def load_what_fits(model: nn.Module, weights: Mapping[str, Tensor]) -> Fit:
    """Load tensors through the hooks of a model and its parts, and say what fitted.

    Args:
        model: Gets the tensors; its others keep their values.
        weights: Tensors by the model's names.

    Raises:
        ValueError: If a hook of the model refuses them, or they are no floating-point numbers.
    """
    _check_kinds(model, weights)
    weights, other_sizes, mismatches = with_notes(weights, weights), [], []
    while True:
        try:
            found = model.load_state_dict(weights, strict=False)
            break
        except (RuntimeError, ValueError, AssertionError) as error:
            names = [name for name in re.findall(r'size mismatch for (\S+?):', str(error))
                     if name in weights]
            if not names:
                raise ValueError(f'The {type(model).__name__} does not take the weights: '
                                 f'{" ".join(str(error).split())}') from error
            other_sizes += names
            mismatches += [line.strip() for line in str(error).splitlines() if 'mismatch' in line]
            for name in names:
                del weights[name]
    missing = [name for name in found.missing_keys if name not in other_sizes]
    # Batch norms set their counters where an older file has none.
    absent = {*missing, *other_sizes, *(
        name for name in model.state_dict() if _is_counter(name) and name not in weights)}
    return Fit(loaded=tuple(name for name in model.state_dict() if name not in absent),
               missing=tuple(missing), other_sizes=tuple(other_sizes),
               left_over=tuple(found.unexpected_keys), mismatches=tuple(mismatches))


def names_that_fit(model: nn.Module, weights: Mapping[str, Tensor]) -> Fit:
    """As :func:`load_what_fits`, by names and sizes alone: for models whose tensors are spread.

    Args:
        model: Keeps its values.
        weights: Tensors by the model's names.
    """
    own = model.state_dict()
    other = [name for name in own if name in weights and own[name].shape != weights[name].shape]
    return Fit(loaded=tuple(n for n in own if n in weights and n not in other),
               missing=tuple(name for name in own if name not in weights),
               other_sizes=tuple(other),
               left_over=tuple(name for name in weights if name not in own),
               mismatches=tuple(f'size mismatch for {name}: {tuple(weights[name].shape)} in the '
                                f'file, {tuple(own[name].shape)} in the model.' for name in other))


def _check_kinds(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copying would round weights of whole numbers on, or drop the half of complex ones."""
    for name, own in model.state_dict().items():
        other = weights.get(name)
        if other is not None and own.is_floating_point() and not other.is_floating_point():
            raise ValueError(f'The {type(model).__name__} does not take the weights: {name} has '
                             f'values of {other.dtype}, expected floating-point numbers.')


def check_complete(model: nn.Module, fit: Fit, path: str | Path) -> None:
    """See that no tensor that matters kept its start value: before a test.

    Patterns in the model's ``new_parameters`` name what may keep it all the same.

    Raises:
        ValueError: If one did, or if the file has more of a part than the model.
    """
    parts = {_part(name) for name in model.state_dict()}
    more = [name for name in fit.left_over if _part(name) in parts]
    may_be_new = getattr(model, 'new_parameters', ())
    missing = [name for name in fit.missing if _matters(model, name)
               and not any(fnmatchcase(name, pattern) for pattern in may_be_new)]
    if fit.other_sizes and not more and not missing:
        raise ValueError(f'{path} holds the weights of a {type(model).__name__} of other sizes '
                         f'than the config has: {" ".join(fit.mismatches[:3])}')
    if fit.other_sizes or more or missing:
        raise ValueError(
            f'{path} holds the weights of another model than the {type(model).__name__} of the '
            f'config: {fit}. Take the config it was trained with; a released file must be '
            'converted first (convert_checkpoint.py).')


def check_start(model: nn.Module, fit: Fit, path: str | Path) -> list[str]:
    """See that weights can start a training: the encoder whole, each part whole or not at all.

    A head may have layers of another size, for other classes.

    Args:
        model: The model.
        fit: What fitted it.
        path: The file, for messages.

    Returns:
        What starts anew, in sentences.

    Raises:
        ValueError: If an encoder, or some of another part, would keep its start values, or the
            file is of a deeper model.
    """
    unloaded = [name for name in fit.unloaded if _matters(model, name, model)]
    loaded = {_part(name) for name in fit.loaded if _matters(model, name)}
    partly = [name for name in unloaded if 'head' not in _part(name) and (
        _part(name) in loaded or _part(name) == 'backbone')]
    stops = partly or beyond(fit.left_over, fit.loaded + fit.unloaded)
    if stops or not loaded:
        raise ValueError(
            f'{path} does not fit the {type(model).__name__}: {fit}'
            f'{f"; of its parts lack {listed(partly)}" if partly else ""}. Name a checkpoint of '
            'the same model, or for its encoder alone model.backbone.init_cfg='
            "dict(type='Pretrained', checkpoint=..., prefix='backbone.').")
    anew = sorted({_part(name) for name in unloaded})
    notes = [f'{path} gives the {type(model).__name__} {len(fit.loaded)} tensors. '
             f'{listed(anew)} start{"s" * (len(anew) == 1)} anew ({len(unloaded)} tensors: '
             f'{listed(unloaded)}).'] if unloaded else []
    return notes


def check_foreign_encoder(module: nn.Module, fit: Fit, path: str | Path) -> None:
    """See that a file is of an encoder that is loaded as its own library does.

    Raises:
        ValueError: If less than nine tenths of its values came from the file, or the file is of a
            deeper encoder.
    """
    sizes = {name: tensor.numel() for name, tensor in module.state_dict().items()}
    share = sum(sizes[name] for name in fit.loaded) / max(1, sum(sizes.values()))
    deeper = beyond(fit.left_over, sizes)
    if share < _ENOUGH or deeper:
        raise ValueError(
            f'{path} does not fit the {type(module).__name__}: {fit}, {100 * share:.0f} % of its '
            'values' + (f'; the file is of a deeper encoder ({listed(deeper)})' if deeper else '') +
            '. Name a checkpoint of the same encoder, and its place in the file as `prefix`.')


def beyond(names: Iterable[str], own: Iterable[str]) -> list[str]:
    """Those of ``names`` that count on where a model stops: 'a.12.b' where 'a.11.b' is last."""
    stems = {stem for name in own for stem in _stems(name)}
    return [name for name in names if _is_beyond(name, stems)]


def more_of_a_part(names: Iterable[str], own: Iterable[str]) -> list[str]:
    """Those of ``names`` that stand in a part of a model without being its."""
    own = set(own)
    parts = {_part(name) for name in own}
    return [name for name in names if name not in own and _part(name) in parts]


def _few(names: Collection[str]) -> str:
    """How many tensors, and the first of their names."""
    return f'{len(names)} tensors' + (f' ({listed(names)})' if names else '')


def _part(name: str) -> str:
    return name.partition('.')[0]


def _is_beyond(name: str, stems: set[str]) -> bool:
    return any(stem.rpartition('.')[2].isdigit() and stem not in stems
               and stem.rpartition('.')[0] in stems for stem in _stems(name))


def _is_counter(name: str) -> bool:
    return name.endswith('num_batches_tracked')


def _stems(name: str) -> list[str]:
    """'a.0.weight' -> ['a', 'a.0']."""
    parts = name.split('.')
    return ['.'.join(parts[:i]) for i in range(1, len(parts))]


def _matters(model: nn.Module, name: str, new_in: nn.Module | None = None) -> bool:
    """Whether a tensor is learned: no counter, no table of integers that the sizes give.

    Args:
        model: The model.
        name: The tensor's name.
        new_in: A model whose encoder may have parameters that no pre-training has.
    """
    if _is_counter(name):
        return False
    encoder = getattr(new_in, 'backbone', None)
    if encoder is not None and name.startswith('backbone.'):
        patterns = (*NEW_PARAMETERS, *getattr(encoder, 'new_parameters', ()))
        if any(fnmatchcase(name.removeprefix('backbone.'), pattern) for pattern in patterns):
            return False
    tensor = model.state_dict()[name]
    return tensor.is_floating_point() or tensor.is_complex()
