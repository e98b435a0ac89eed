"""Tables that say what becomes of every tensor of a foreign state dict."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from torch import Tensor

from ...name_lists import listed
from ..module_notes import noted_grid, with_grids
from ..position_tables import resize_position_table

_PARAMETERS = ('weight', 'bias')
_MAX_LISTED = 40


@dataclass(frozen=True)
class Rename:
    """A tensor that is kept; '{p}' in both names stands for 'weight' and 'bias'.

    Args:
        source: Name in the file.
        target: Name in the result.
        change: Makes the wanted tensor of the file's.
        restore: The inverse of ``change``.
    """
    source: str
    target: str
    change: Callable[[Tensor], Tensor] | None = None
    restore: Callable[[Tensor], Tensor] | None = None

    def reversed(self) -> Rename:
        """The row of the way back."""
        return Rename(self.target, self.source, self.restore, self.change)


@dataclass(frozen=True)
class Drop:
    """Tensors that are left out on purpose.

    Args:
        pattern: Their names; '*' stands for any characters.
        reason: Why nothing is lost.
    """
    pattern: str
    reason: str


@dataclass
class Conversion:
    """What came of a file.

    Args:
        weights: The tensors by their new names.
        sources: New name -> name in the file.
        dropped: Name in the file -> why it was left out.
        resized: New names of the position tables that got another grid.
    """
    weights: dict[str, Tensor]
    sources: dict[str, str]
    dropped: dict[str, str] = field(default_factory=dict)
    resized: list[str] = field(default_factory=list)


def expand(rows: Iterable[Rename]) -> list[Rename]:
    """The rows with every '{p}' spelt out."""
    return [Rename(row.source.format(p=p), row.target.format(p=p), row.change, row.restore)
            for row in rows
            for p in (_PARAMETERS if '{p}' in row.source else _PARAMETERS[:1])]


def count_indexes(weights: Mapping[str, Tensor], stem: str) -> int:
    """1 + the largest index after ``stem`` in the names, for example of 'blocks.'.

    It is 1 where there is none, so that a file without any is found to lack the first.
    """
    indexes = {k[len(stem):].split('.')[0] for k in weights if k.startswith(stem)}
    return max((int(i) + 1 for i in indexes if i.isdigit()), default=1)


def apply_table(weights: Mapping[str, Tensor], renames: Iterable[Rename],
                drops: Iterable[Drop] = ()) -> Conversion:
    """Convert a state dict.

    Args:
        weights: The file's tensors by name.
        renames: One row per tensor that must be there.
        drops: What may be there besides.

    Raises:
        ValueError: If a tensor is missing, or one is in no row; lists both.
    """
    renames, drops = list(renames), list(drops)
    taken = {row.source for row in renames}
    dropped = {name: _reason(name, drops) for name in weights if name not in taken}
    unknown = [name for name, reason in dropped.items() if reason is None]
    missing = [row.source for row in renames if row.source not in weights]
    if unknown or missing:
        raise ValueError('The file does not have the expected tensors. '
                         f'{_list(unknown, "unknown")}; {_list(missing, "missing")}. It is of '
                         'another model, or of another version of it.')
    return Conversion(
        weights={row.target: row.change(weights[row.source]) if row.change else weights[row.source]
                 for row in renames},
        sources={row.target: row.source for row in renames},
        dropped={name: reason for name, reason in dropped.items() if reason is not None})


def convert_part(weights: Mapping[str, Tensor], prefix: str,
                 converter: Callable[[dict[str, Tensor]], Conversion]) -> Conversion:
    """Convert the tensors under ``prefix`` and drop the others.

    Args:
        weights: The file's tensors by name.
        prefix: Of the part, for example 'vqgan.'.
        converter: Converts the part, whose names come without prefix.

    Raises:
        ValueError: If there is no such part.
    """
    part = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    if not part:
        raise ValueError(f'The file has no tensors under {prefix!r}: that part was not saved with '
                         'it, convert it from its own file.')
    inner = converter(part)
    others = {k: f'not under {prefix!r}' for k in weights if not k.startswith(prefix)}
    return Conversion(
        weights=inner.weights,
        sources={k: prefix + v for k, v in inner.sources.items()},
        dropped={**others, **{prefix + k: v for k, v in inner.dropped.items()}})


def resize_tables(conversion: Conversion, names: Iterable[str],
                  grid_size: tuple[int, int]) -> None:
    """Bring position tables to another grid, in place; the row of CLS stays as it is.

    Args:
        conversion: Where the tables are.
        names: New names of tables (1, 1 + h * w, D); those that are there are resized.
        grid_size: The wanted grid (h, w).

    Raises:
        ValueError: If none is there, or one is not of a square grid.
    """
    names = [name for name in names if name in conversion.weights]
    if not names:
        raise ValueError('There is no position table to resize: convert without a grid or image '
                         'size.')
    for name in names:
        table = conversion.weights[name]
        resized = resize_position_table(table, grid_size,
                                        from_grid=noted_grid(conversion.weights, name))
        if resized is not table:
            conversion.weights[name] = resized
            conversion.resized.append(name)
    conversion.weights = with_grids(conversion.weights,
                                    {name.rpartition('.')[0]: grid_size for name in names})


def _reason(name: str, drops: list[Drop]) -> str | None:
    return next((drop.reason for drop in drops if fnmatchcase(name, drop.pattern)), None)


def _list(names: list[str], what: str) -> str:
    if not names:
        return f'0 {what}'
    return f'{len(names)} {what}: {listed(names, _MAX_LISTED)}'


_LAYER = (
    ('norm1', 'ln1'),
    ('attn.qkv', 'attn.qkv'),
    ('attn.proj', 'attn.proj'),
    ('norm2', 'ln2'),
    ('mlp.fc1', 'ffn.layers.0.0'),
    ('mlp.fc2', 'ffn.layers.1'),
)


def layer_renames(source: str, target: str, depth: int) -> list[Rename]:
    """Rows for a stack of layers.

    Args:
        source: Name of the stack in timm's layout, for example 'blocks'.
        target: Name of the stack in mmpretrain's layout, for example 'backbone.layers'.
        depth: Number of layers.
    """
    return expand(Rename(f'{source}.{i}.{theirs}.{{p}}', f'{target}.{i}.{ours}.{{p}}')
                  for i in range(depth) for theirs, ours in _LAYER)
