"""Files are there whole or not at all, and what stops them is said in one line."""
from __future__ import annotations

import errno
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from addp_mm.atomic_write import atomic_write, remove_partial, write_json, write_whole
from addp_mm.checkpoints.weight_files import save_weights


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow beyond 64 kB, as on a disk that is nearly full."""
    import signal
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_failing_block_leaves_the_earlier_file(tmp_path: Path):
    path = tmp_path / 'a.txt'
    path.write_text('earlier')
    with pytest.raises(KeyError), atomic_write(path) as partial:
        partial.write_text('half')
        raise KeyError('mine')
    assert path.read_text() == 'earlier' and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize('write', [
    lambda path: write_whole(path, bytes(100_000)),
    lambda path: _save(path, torch.zeros(100_000)),
    lambda path: save_weights(dict(a=torch.zeros(100_000)), path, overwrite=True),
    lambda path: save_weights(dict(a=torch.zeros(100_000)), path.rename(
        path.with_suffix('.safetensors')), overwrite=True),
])
def test_a_full_disk(write, small_files: None, tmp_path: Path):
    path = tmp_path / 'a.pth'
    path.write_text('earlier')
    with pytest.raises(OSError, match=r'Could not write .*a\.\w+: .*File too large.* GB are free '
                                      r'in .*untouched: make room'):
        write(path)
    path, = tmp_path.iterdir()
    assert path.read_text() == 'earlier'


def _save(path: Path, tensor: torch.Tensor) -> None:
    # torch fails a second time when it closes the file.
    with atomic_write(path) as partial, open(partial, 'wb') as file:
        torch.save(tensor, file)


def test_the_error_of_another_file_is_not_renamed(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match='other.txt') as caught, \
            atomic_write(tmp_path / 'a.txt') as partial:
        partial.write_text((tmp_path / 'other.txt').read_text())
    assert caught.value.errno == errno.ENOENT and 'Could not write' not in str(caught.value)


def test_a_folder_that_is_a_file(tmp_path: Path):
    (tmp_path / 'a').write_text('')
    with pytest.raises(OSError, match='a'):
        write_json(tmp_path / 'a' / 'b.json', {})


def test_leftovers_go_when_they_are_old(tmp_path: Path):
    old, young = tmp_path / '.a.png.1.partial', tmp_path / '.b.png.2.partial'
    for path in (old, young, tmp_path / 'c.png'):
        path.write_text('')
    os.utime(old, (time.time() - 7200, ) * 2)
    assert remove_partial(tmp_path, 3600) == [old]
    assert {path.name for path in tmp_path.iterdir()} == {young.name, 'c.png'}
    assert remove_partial(tmp_path) == [young]
