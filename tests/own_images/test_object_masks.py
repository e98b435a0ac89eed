"""What masks of one object mark, in the forms that tools store them."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from addp_mm.own_images.object_masks import read_object_mask

OBJECT = np.zeros((4, 6), bool)
OBJECT[1:3, 2:5] = True


def with_alpha(alpha: np.ndarray, colours: np.ndarray) -> np.ndarray:
    return np.dstack((*[np.uint8(colours) * np.ones_like(OBJECT, np.uint8)] * 3, np.uint8(alpha)))


def blurred(values: np.ndarray) -> np.ndarray:
    """With an edge between black and white beside the object."""
    values[0] = values.max() // 3
    return values


def read(values: np.ndarray | Image.Image, folder: Path, ending: str = 'png') -> np.ndarray:
    image = values if isinstance(values, Image.Image) else Image.fromarray(values)
    image.save(folder / f'a.{ending}')
    return read_object_mask(folder / f'a.{ending}')


@pytest.mark.parametrize('values', [
    OBJECT, OBJECT.astype(np.uint8), OBJECT * np.uint8(255), OBJECT * np.uint16(255),
    OBJECT * np.uint16(65535), blurred(OBJECT * np.uint8(255)), blurred(OBJECT * np.uint16(65535)),
    OBJECT * np.uint8(215) + np.uint8(20), np.dstack([OBJECT * np.uint8(255)] * 3),
    with_alpha(OBJECT * 255, np.array(255)), with_alpha(OBJECT * 255, np.array(0)),
    with_alpha(OBJECT * 255, OBJECT * 255), with_alpha(np.full((4, 6), 255), OBJECT * 255),
    with_alpha(OBJECT * 255, OBJECT * 255)[..., [0, 3]]])
def test_masks_of_all_forms(values: np.ndarray, tmp_path: Path):
    assert np.array_equal(read(values, tmp_path), OBJECT)


@pytest.mark.parametrize('values', [OBJECT.astype(np.float32), OBJECT * np.int32(7)])
def test_masks_of_wide_numbers(values: np.ndarray, tmp_path: Path):
    assert np.array_equal(read(values, tmp_path, 'tif'), OBJECT)


@pytest.mark.parametrize('palette, transparent', [((0, 0, 0, 255, 0, 0), None),
                                                  ((255,) * 6, 0), ((0,) * 6, 0)])
def test_masks_with_a_palette(palette: tuple[int, ...], transparent: int | None, tmp_path: Path):
    image = Image.fromarray(OBJECT.astype(np.uint8)).convert('P')
    image.putpalette(palette)
    if transparent is not None:
        image.info['transparency'] = transparent
    assert np.array_equal(read(image, tmp_path), OBJECT)


@pytest.mark.parametrize('values', [np.zeros((4, 6), np.uint8),
                                    with_alpha(np.zeros((4, 6)), np.array(255))])
def test_empty_masks(values: np.ndarray, tmp_path: Path):
    assert not read(values, tmp_path).any()


@pytest.mark.parametrize('values, message', [
    (OBJECT + np.uint8(1), '2 values from 1 to 2, expected two'),
    (blurred(OBJECT * np.uint16(255)), '3 values from 0 to 255'),
    (with_alpha(OBJECT * 255, ~OBJECT * 255), 'colours mark other places than its transparency'),
    (np.dstack((OBJECT, ~OBJECT, OBJECT)) * np.uint8(255), 'equally bright')])
def test_masks_that_do_not_tell_what_they_mark(values: np.ndarray, message: str, tmp_path: Path):
    with pytest.raises(ValueError, match=message):
        read(values, tmp_path)


def test_masks_without_numbers(tmp_path: Path):
    values = np.where(OBJECT, np.nan, 0).astype(np.float32)
    with pytest.raises(ValueError, match='no finite numbers'):
        read(values, tmp_path, 'tif')


def test_masks_of_several_pages_are_refused(tmp_path: Path):
    page = Image.fromarray(OBJECT * np.uint8(255))
    page.save(tmp_path / 'a.tif', save_all=True, append_images=[page])
    with pytest.raises(ValueError, match='2 pages'):
        read_object_mask(tmp_path / 'a.tif')
