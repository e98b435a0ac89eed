from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from addp_mm.datasets.digits import write_digits


@pytest.fixture(scope='module')
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp('digits'), image_size=8)


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob('*.png'))


def test_all_digits_are_written_in_a_stratified_split(digits: Path):
    for part, total, per_class in (('train', 1500, (145, 153)), ('val', 297, (29, 30))):
        counts = [len(files(digits / part / str(digit))) for digit in range(10)]
        assert sum(counts) == total
        assert (min(counts), max(counts)) == per_class
    names = [path.name for path in files(digits)]
    assert len(set(names)) == 1797  # no digit is in both parts


def test_pixels_are_those_of_the_source(digits: Path):
    datasets = pytest.importorskip('sklearn.datasets')
    source = datasets.load_digits()
    path = files(digits / 'val')[100]
    image = np.asarray(Image.open(path))
    index = int(path.stem)
    assert source.target[index] == int(path.parent.name)
    np.testing.assert_allclose(image / 255 * 16, source.images[index], atol=0.04)


def test_a_complete_folder_is_left_alone_and_a_broken_one_is_mended(digits: Path):
    first, second = files(digits / 'train')[:2]
    first.write_bytes(b'changed')
    write_digits(digits, image_size=8)
    assert first.read_bytes() == b'changed'
    (digits / 'complete.txt').unlink()  # as if the call had been interrupted
    second.unlink()
    write_digits(digits, image_size=8)
    assert Image.open(first).size == (8, 8)
    assert second.is_file()


def test_another_size_replaces_the_images(tmp_path: Path):
    write_digits(tmp_path, image_size=8)
    write_digits(tmp_path, image_size=12)
    assert {Image.open(path).size for path in files(tmp_path)[::200]} == {(12, 12)}
    assert len(files(tmp_path)) == 1797


def test_an_interrupted_change_of_size_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_digits(tmp_path, image_size=8)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Image.Image, 'save', interrupt)
        write_digits(tmp_path, image_size=12)
    write_digits(tmp_path, image_size=8)
    assert len(files(tmp_path)) == 1797


def interrupt(*args: object) -> None:
    raise KeyboardInterrupt


def test_files_of_others_are_not_removed(tmp_path: Path):
    (tmp_path / 'photo.jpg').write_bytes(b'mine')
    with pytest.raises(ValueError, match='photo.jpg'):
        write_digits(tmp_path)


def test_too_small_a_size_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match='at least 8'):
        write_digits(tmp_path, image_size=4)


def test_missing_scikit_learn_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, 'sklearn.datasets', None)
    with pytest.raises(ModuleNotFoundError, match='pip install scikit-learn'):
        write_digits(tmp_path)
