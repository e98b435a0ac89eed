"""How many tokens stay masked after each step."""
from __future__ import annotations

import pytest

from addp_mm.generation import UnmaskingSchedule

# MAGE's and MaskGIT's counts for 256 tokens in 20 cosine steps.
FLOOR = [255, 252, 248, 243, 236, 228, 218, 207, 194, 181, 166, 150, 133, 116, 97, 79, 59, 40, 20,
         1]


def counts(schedule: UnmaskingSchedule, total: int = 256, masked: int = 256) -> list[int]:
    found = []
    for step in range(schedule.num_steps):
        masked = schedule.num_masked(step, total, masked)
        found.append(masked)
    return found


def test_ceil_is_that_of_the_reference_release() -> None:
    assert counts(UnmaskingSchedule(12)) == [254, 248, 237, 222, 204, 182, 156, 129, 98, 67, 34, 1]
    assert counts(UnmaskingSchedule(8)) == [252, 237, 213, 182, 143, 98, 50, 1]
    for num_steps in range(3, 256, 3):      # at two thirds of the steps cos is a hair above 1/2
        assert counts(UnmaskingSchedule(num_steps))[2 * num_steps // 3 - 1] == 129


def test_floor_is_that_of_mage() -> None:
    assert counts(UnmaskingSchedule(20, 'cosine', 'floor')) == FLOOR


def test_floor_reveals_a_token_in_each_step() -> None:
    found = [256, *counts(UnmaskingSchedule(256, 'cosine', 'floor'))]
    assert all(a > b for a, b in zip(found[:-2], found[1:-1], strict=True)) and found[-1] == 1


def test_linear_reveals_one_token_in_each_of_256_steps() -> None:
    assert counts(UnmaskingSchedule(256, 'linear')) == [*range(255, 0, -1), 1]


def test_never_more_than_what_is_masked() -> None:
    assert counts(UnmaskingSchedule(5, 'linear'), masked=100) == [100, 100, 100, 52, 1]
    assert counts(UnmaskingSchedule(5, 'linear'), masked=0) == [0] * 5


def test_scaled_schedule() -> None:
    assert counts(UnmaskingSchedule(5, 'linear'), total=64, masked=64) == [52, 39, 26, 13, 1]


@pytest.mark.parametrize('name, share, step', [
    ('cosine', 0.75, 9), ('cosine', 0.5, 13), ('cosine', 0.25, 17), ('linear', 0.75, 5),
    ('linear', 0.5, 10), ('linear', 0.25, 15), ('cosine', 1., 0), ('linear', 1., 0),
    ('cosine', 0., 19), ('linear', 0.01, 19)
])
def test_start_step(name: str, share: float, step: int) -> None:
    assert UnmaskingSchedule(20, name).start_step(share) == step


@pytest.mark.parametrize('arguments, message', [
    (dict(num_steps=0), 'num_steps must be at least 1, got 0'),
    (dict(num_steps=5, name='cos'), "schedule must be one of .* got 'cos'"),
    (dict(num_steps=5, rounding='up'), "rounding must be one of .* got 'up'"),
])
def test_bad_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UnmaskingSchedule(**arguments)
