"""A folder or an archive of numbered images of one run."""
from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from PIL import Image
from torch import multiprocessing

from addp_mm.apis.output_folder import OutputFolder, save_image

SETTINGS = dict(seed=0, size=[3, 4], schedule='cosine')


def fill(folder: OutputFolder, count: int) -> np.ndarray:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 3, 4, 3), dtype=np.uint8)
    for index, image in enumerate(pixels):
        save_image(image, folder.image_path(index))
    return pixels


def test_a_new_folder(tmp_path: Path) -> None:
    out = tmp_path / 'new' / 'images'
    folder = OutputFolder(out, SETTINGS)
    pixels = fill(folder, 2)
    assert sorted(path.name for path in out.iterdir()) == ['000000.png', '000001.png',
                                                           'settings.json']
    assert np.array_equal(np.asarray(Image.open(out / '000001.png')), pixels[1])
    assert json.loads((out / 'settings.json').read_text()) == SETTINGS
    assert folder.finish(2) == out
    assert folder.image_path(1234567).name == '1234567.png'


def test_the_same_settings_go_on(tmp_path: Path) -> None:
    fill(OutputFolder(tmp_path, SETTINGS), 2)
    OutputFolder(tmp_path, dict(SETTINGS, size=(3, 4)))
    assert (tmp_path / '000001.png').exists()


def test_other_settings_are_refused(tmp_path: Path) -> None:
    fill(OutputFolder(tmp_path, SETTINGS), 2)
    with pytest.raises(ValueError, match='images of another run: seed 0, now 1; new None, now 5. '
                                         'Choose another --out.* --overwrite'):
        OutputFolder(tmp_path, dict(SETTINGS, seed=1, new=5))
    assert json.loads((tmp_path / 'settings.json').read_text()) == SETTINGS


def test_overwrite_removes_what_the_tool_has_left(tmp_path: Path) -> None:
    earlier = OutputFolder(tmp_path, SETTINGS)
    fill(earlier, 2)
    earlier.steps_path(0).parent.mkdir()
    fill(OutputFolder(tmp_path / 'steps', {}), 1)
    for name in ('cat.png', 'notes.txt', '12.png'):
        (tmp_path / name).write_text('kept')
    OutputFolder(tmp_path, dict(SETTINGS, seed=1), overwrite=True)
    assert sorted(path.name for path in tmp_path.glob('*.*')) == ['12.png', 'cat.png', 'notes.txt',
                                                                  'settings.json']
    assert not list((tmp_path / 'steps').glob('*.png'))


@pytest.mark.parametrize('name', ['cat.png', 'Dog.JPG'])
def test_foreign_images_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(ValueError, match=f'holds other images .{name}'):
        OutputFolder(tmp_path, SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / 'images').touch()
    with pytest.raises(ValueError, match='images is a file, expected a folder or a name that '):
        OutputFolder(tmp_path / 'images', SETTINGS, overwrite=True)


def test_archive(tmp_path: Path) -> None:
    out = tmp_path / 'images.npz'
    folder = OutputFolder(out, SETTINGS)
    pixels = fill(folder, 3)
    OutputFolder(out, SETTINGS)                             # goes on
    with pytest.raises(ValueError, match='images of another run'):
        OutputFolder(out, dict(SETTINGS, seed=1))
    assert folder.finish(3) == out
    assert [path.name for path in tmp_path.iterdir()] == ['images.npz']
    with np.load(out) as archive:
        assert np.array_equal(archive['arr_0'], pixels)
    with pytest.raises(ValueError, match='images.npz exists already'):
        OutputFolder(out, SETTINGS)
    OutputFolder(out, SETTINGS, overwrite=True)
    assert not out.exists()


def test_an_archive_removes_nothing_but_what_is_in_it(tmp_path: Path,
                                                     caplog: pytest.LogCaptureFixture) -> None:
    out = tmp_path / 'images.npz'
    folder = OutputFolder(out, SETTINGS)
    fill(folder, 3)
    (folder.folder / 'notes.txt').write_text('mine')
    MMLogger.get_current_instance().handlers.append(caplog.handler)
    folder.finish(2)
    assert {path.name for path in folder.folder.iterdir()} == {
        '000002.png', 'notes.txt', 'settings.json'}
    assert 'images.npz.images stays: it holds more than is in' in caplog.text
    out.unlink()
    assert OutputFolder(out, SETTINGS).num_further(2) == 1
    fill(folder, 3)
    folder.finish(3)
    assert [path.name for path in folder.folder.iterdir()] == ['notes.txt']


def refused_in(rank: int, path: Path, port: int) -> None:
    """One of two processes: refused like the other, then accepted, then it waits in the end."""
    os.environ.update(RANK=str(rank), WORLD_SIZE='2', MASTER_ADDR='127.0.0.1',
                      MASTER_PORT=str(port))
    torch.distributed.init_process_group('gloo')
    with pytest.raises(ValueError, match='images of another run: seed 0, now 1'):
        OutputFolder(path, dict(SETTINGS, seed=1))
    folder = OutputFolder(path, SETTINGS)
    save_image(np.full((3, 4, 3), rank, np.uint8), folder.image_path(rank))
    folder.finish(2)
    torch.distributed.destroy_process_group()


def test_two_processes(tmp_path: Path) -> None:
    out = tmp_path / 'images.npz'
    OutputFolder(out, SETTINGS)
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    multiprocessing.start_processes(refused_in, (out, port), nprocs=2, start_method='fork')
    with np.load(out) as archive:
        assert archive['arr_0'][:, 0, 0, 0].tolist() == [0, 1]
