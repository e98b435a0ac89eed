"""What a state dict notes about the modules of its tensors, kept while these are renamed.

Torch keeps such notes beside the tensors, as ``_metadata``: of each module its version and, by this
package, the grid (h, w) of its position tables. A plain dict has none.
"""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from torch import Tensor

GRID = 'grid_size'
Grid = tuple[int, int]


def with_notes(weights: Mapping[str, Tensor], source: Mapping[str, Tensor],
               names: Mapping[str, str] | None = None) -> dict[str, Tensor]:
    """Give tensors what another state dict notes about their modules.

    Args:
        weights: Tensors by name; not changed.
        source: The state dict that they are from.
        names: The names that they have in it, by their own; None: they have kept them.
    """
    notes = getattr(source, '_metadata', None) or {}
    if names is not None:
        notes = {_module(new): notes[_module(old)] for new, old in names.items()
                 if new in weights and _module(old) in notes}
    noted = OrderedDict(weights)
    noted._metadata = OrderedDict(notes)        # type: ignore[attr-defined]  # as torch's own
    return noted


def renamed(source: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    """Some tensors of a state dict under other names, with what it notes about their modules.

    Args:
        source: The state dict.
        names: The names of the tensors in it, by the new ones.
    """
    return with_notes({new: source[old] for new, old in names.items()}, source, names)


def noted_grid(weights: Mapping[str, Tensor], name: str) -> Grid | None:
    """The grid (h, w) of a position table; None where none is noted."""
    return all_grids(weights).get(_module(name))


def all_grids(weights: Mapping[str, Tensor]) -> dict[str, Grid]:
    """The grids that are noted, by the names of modules."""
    notes = getattr(weights, '_metadata', None) or {}
    return {module: tuple(note[GRID]) for module, note in notes.items() if GRID in note}


def with_grids(weights: Mapping[str, Tensor], grids: Mapping[str, Grid]) -> dict[str, Tensor]:
    """The tensors, with notes of grids by the names of modules, beside those that they have."""
    noted = with_notes(weights, weights)
    notes = noted._metadata                     # type: ignore[attr-defined]
    for module, grid in grids.items():
        notes[module] = {**notes.get(module, {}), GRID: tuple(grid)}
    return noted


def _module(name: str) -> str:
    return name.rpartition('.')[0]
