"""What all tests share: one thread, fixed seeds, no leftovers of mmengine between tests."""
from __future__ import annotations

import os
import random
from collections.abc import Iterator
from types import SimpleNamespace

os.environ.setdefault('OMP_NUM_THREADS', '1')
os.environ.setdefault('MPLBACKEND', 'Agg')

import mmengine.runner.loops
import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.utils import ManagerMixin
from yapf.yapflib import yapf_api

import addp_mm  # noqa: F401  (before a test imports mmdet, which then finds mmcv's operations)

# ADDP_MM_GPU_TESTS_ON=cpu walks through the tests that are marked `gpu` on a machine without one: a
# typo in them shows. It says nothing about GPUs.
GPU_TESTS_ON = 'cuda' if torch.cuda.is_available() else os.environ.get('ADDP_MM_GPU_TESTS_ON')
# Tiny tensors gain nothing from more threads, and the sums stay in one order.
torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked ``gpu`` where there is none."""
    if GPU_TESTS_ON:
        return
    for item in items:
        if item.get_closest_marker('gpu'):
            item.add_marker(pytest.mark.skip(reason='needs a GPU'))


@pytest.fixture(autouse=True)
def seeds() -> None:
    """Start each test with the same random state."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """Where the tests marked ``gpu`` compute, with full float32."""
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)
    return torch.device(GPU_TESTS_ON)


@pytest.fixture
def real_gpu(gpu: torch.device) -> torch.device:
    """The same for a test that a CPU cannot even walk through."""
    if gpu.type == 'cpu':
        pytest.skip('there is nothing of it on a CPU')
    return gpu


@pytest.fixture(autouse=True)
def no_idle_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither wait between epochs, for workers that there are none of, nor lay out configs.

    mmengine lets yapf lay out the text of each config, which takes longer than a tiny training.
    """
    monkeypatch.setattr(mmengine.runner.loops, 'time', SimpleNamespace(sleep=lambda _: None))
    monkeypatch.setattr(yapf_api, 'FormatCode', lambda text, **_: (f'{text}\n', False))


@pytest.fixture(autouse=True)
def clean_singletons() -> Iterator[None]:
    """Forget mmengine's loggers, message hubs, visualizers and default scopes after each test.

    They are kept by name, and a runner's name is its config's name and the second it started in:
    two runners of one second would share them.
    """
    yield
    for logger in MMLogger._instance_dict.values():
        for handler in logger.handlers:
            handler.close()
    for manager in _subclasses(ManagerMixin):
        manager._instance_dict.clear()


def _subclasses(cls: type) -> Iterator[type]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)
