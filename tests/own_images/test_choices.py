"""A folder goes on with what it was begun with, and other flags are refused by name."""
from __future__ import annotations

import json
from pathlib import Path

import pytest

from addp_mm.own_images.choices import settle

BEGUN: dict = dict(preset='small', image_size=32, minutes=5., flip=True, turn=False)


def test_the_same_call_goes_on(tmp_path: Path):
    begun = settle(tmp_path, **BEGUN)
    begun.keep(tmp_path)
    assert settle(tmp_path, **BEGUN) == begun
    # What is not named stays, also where the memory or a default would choose another.
    assert settle(tmp_path, **BEGUN | dict(preset=None, minutes=None)) == begun


@pytest.mark.parametrize('changes, message', [
    (dict(preset='base'), "preset 'small', now 'base'"), (dict(flip=False), 'flip True, now False'),
    (dict(minutes=9.), 'minutes 5.0, now 9.0'), (dict(turn=True), 'turn False, now True')])
def test_other_flags_are_refused(changes: dict, message: str, tmp_path: Path):
    settle(tmp_path, **BEGUN).keep(tmp_path)
    with pytest.raises(ValueError, match=f'begun with other settings .{message}'):
        settle(tmp_path, **BEGUN | changes)


def test_a_folder_of_a_version_without_a_stage_is_refused(tmp_path: Path):
    settle(tmp_path, **BEGUN).keep(tmp_path)
    path = tmp_path / 'choices.json'
    written = json.loads(path.read_text())
    written['batches'].pop('mae')
    path.write_text(json.dumps(written))
    with pytest.raises(ValueError, match='had no stage mae: choose another --out'):
        settle(tmp_path, **BEGUN)


@pytest.mark.parametrize('changes, message', [
    (dict(image_size=0), '--size must be a positive number'), (dict(minutes=0), '--time-budget'),
    (dict(minutes=float('nan')), '--time-budget'), (dict(minutes=-5), '--time-budget')])
def test_numbers_that_make_no_sense(changes: dict, message: str, tmp_path: Path):
    with pytest.raises(ValueError, match=message):
        settle(tmp_path, **BEGUN | changes)
