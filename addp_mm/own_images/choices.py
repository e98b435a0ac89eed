"""How a folder of trainings was begun: a later call goes on in the same way, or is refused."""
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ..atomic_write import write_json
from ..result_folder import other_settings, read_json
from .configs import choose_preset
from .presets import PRESETS

CHOICES = 'choices.json'


@dataclass(frozen=True)
class Choices:
    """What the configs of the stages are made by.

    Attributes:
        preset: Name of the preset.
        minutes: Time for all stages.
        flip: Whether images are mirrored.
        turn: Whether they are mirrored both ways, and turned by quarters.
        batches: Images of an iteration of each stage.
        sizes: A sentence on how the memory was divided.
    """

    preset: str
    minutes: float
    flip: bool
    turn: bool
    batches: Mapping[str, int]
    sizes: str

    def keep(self, out: Path) -> None:
        """Write them into the folder of the trainings, for later calls."""
        write_json(out / CHOICES, asdict(self))


def settle(out: Path, preset: str | None, image_size: int | None, minutes: float | None,
           flip: bool, turn: bool) -> Choices:
    """The choices of a call: those that its folder was begun with, or new ones.

    Args:
        out: The folder.
        preset: The preset; None takes the folder's, or the largest that fits the memory.
        image_size: Side of the crops in pixels; None takes the preset's.
        minutes: Time for all stages; None takes the folder's, or the preset's.
        flip: Whether images are mirrored.
        turn: Whether they are turned.

    Raises:
        ValueError: If the folder was begun with others, a number makes no sense, or no preset
            fits.
    """
    if image_size is not None and image_size < 1:
        raise ValueError(f'--size must be a positive number of pixels, got {image_size}.')
    if minutes is not None and not 0 < minutes < math.inf:
        raise ValueError(f'--time-budget must be a positive number of minutes, got {minutes}.')
    path = out / CHOICES
    if not path.is_file():
        name, batches, sizes = choose_preset(preset, image_size)
        return Choices(name, minutes or PRESETS[name].minutes, flip, turn, batches, sizes)
    asked = dict(preset=preset, minutes=minutes, flip=flip, turn=turn)
    given = {name: value for name, value in asked.items() if value is not None}
    if trouble := other_settings(path, given):
        raise ValueError(f'The trainings in {out} were begun with other settings ({trouble}): '
                         'choose another --out, or call them as before.')
    choices = Choices(**read_json(path))
    if missing := PRESETS[choices.preset].configs.keys() - choices.batches.keys():
        raise ValueError(f'The trainings in {out} were begun by a version that had no stage '
                         f'{", ".join(sorted(missing))}: choose another --out, or go on by hand '
                         'with the configs in it.')
    return choices
