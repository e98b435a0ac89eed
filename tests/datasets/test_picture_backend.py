"""LoadImageFromFile of the libraries reads pictures as the package does."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from addp_mm.datasets.image_reader import read_pixels
from addp_mm.own_images.image_check import check_image

OURS = LoadImageFromFile(backend_args=dict(backend='addp_pictures'))


def draw(folder: Path, kind: str) -> Path:
    """A picture of 20 x 30 pixels that OpenCV alone reads otherwise, or not at all."""
    ramp = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
    colours = Image.fromarray(np.dstack([ramp // 256] * 3).astype(np.uint8))
    turned = Image.Exif()
    turned[274] = 6
    path = folder / f'a.{kind.split()[-1]}'
    if kind == 'deep png':
        Image.fromarray(ramp).save(path)
    elif kind == 'turned webp':
        colours.save(path, exif=turned, lossless=True)
    elif kind == 'turned jpg':
        colours.save(path, exif=turned)
    else:
        colours.save(path, compression='zstd' if kind == 'tif' else None)
    return path


@pytest.mark.parametrize('kind', ['deep png', 'turned webp', 'turned jpg', 'tif', 'gif', 'jpg'])
def test_pictures_are_read_as_everywhere(kind: str, tmp_path: Path):
    path = draw(tmp_path, kind)
    found = OURS(dict(img_path=str(path)))['img']
    assert np.array_equal(found[..., ::-1], read_pixels(path))
    assert found.shape == ((30, 20, 3) if 'turned' in kind else (20, 30, 3))
    if kind == 'jpg':
        assert np.array_equal(found, LoadImageFromFile()(dict(img_path=str(path)))['img'])


def test_unreadable_pictures_are_named(tmp_path: Path):
    for name, content in (('cut.jpg', draw(tmp_path, 'jpg').read_bytes()[:-100]), ('a.txt', b'x')):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f'{name} cannot be read'):
            OURS(dict(img_path=str(tmp_path / name)))
    with pytest.raises(FileNotFoundError):
        OURS(dict(img_path=str(tmp_path / 'nowhere.png')))


@pytest.mark.parametrize('kind', ['deep png', 'tif', 'colours png', 'turned webp'])
def test_grey_pictures_are_stretched_as_for_the_pre_training(kind: str, tmp_path: Path):
    path = draw(tmp_path, kind)
    if kind == 'colours png':
        Image.fromarray(np.arange(1800, dtype=np.uint8).reshape(20, 30, 3)).save(path)
    load = LoadImageFromFile(backend_args=dict(backend='addp_pictures', stretch=True))
    found = load(dict(img_path=str(path)))['img']
    (tmp_path / 'copies').mkdir()
    copy, = check_image(path, tmp_path / 'copies', 8, stretch=True).paths
    assert np.array_equal(found[..., ::-1], read_pixels(copy))
    assert found.shape == read_pixels(path).shape
    assert np.array_equal(found[..., ::-1], read_pixels(path)) == (kind == 'colours png')
