"""Pictures and masks from files, arrays and PIL images."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from PIL import Image

from addp_mm.apis.image_input import fit_to_model, read_image, read_mask

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def test_all_kinds_of_images(tmp_path: Path) -> None:
    path = tmp_path / 'image.png'
    Image.fromarray(PIXELS).save(path)
    wanted = torch.from_numpy(PIXELS).permute(2, 0, 1).float() / 255
    for image in (path, str(path), PIXELS, Image.fromarray(PIXELS)):
        assert torch.equal(read_image(image), wanted)
    grey = read_image(PIXELS[..., 0])
    assert torch.equal(grey, wanted[:1].expand(3, -1, -1))


def test_photos_are_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6                                          # to be turned by 90 degrees
    Image.fromarray(PIXELS).save(tmp_path / 'photo.png', exif=exif)
    turned = torch.from_numpy(np.rot90(PIXELS, -1).copy()).permute(2, 0, 1).float() / 255
    assert torch.equal(read_image(tmp_path / 'photo.png'), turned)


@pytest.mark.parametrize('content', [b'', b'no image', b'\x89PNG\r\n\x1a\n1234'])
def test_broken_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / 'image.png'
    path.write_bytes(content)
    with pytest.raises(ValueError, match='image.png is not a whole image'):
        read_image(path)


def test_a_file_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / 'image.png'
    Image.fromarray(np.tile(PIXELS, (20, 20, 1))).save(path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ValueError, match='image.png is not a whole image'):
        read_image(path)


def test_more_than_8_bits(tmp_path: Path) -> None:
    """Scaled as in training, instead of cut off at 255."""
    Image.fromarray(np.full((4, 4), 257 * 51, np.uint16)).save(tmp_path / 'deep.png')
    expected = torch.full((3, 4, 4), 0.2)
    assert torch.allclose(read_image(tmp_path / 'deep.png'), expected)
    assert torch.allclose(read_image(Image.open(tmp_path / 'deep.png')), expected)


def test_missing_files_and_wrong_arrays(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='no image file .*none.png'):
        read_image(tmp_path / 'none.png')
    for array in (PIXELS.astype(np.float32), PIXELS[..., :2], PIXELS[:0], PIXELS[None]):
        with pytest.raises(ValueError, match='Expected a uint8 array'):
            read_image(array)


def test_masks(tmp_path: Path) -> None:
    values = np.zeros((6, 8), np.uint8)
    values[0], values[1], values[2] = 127, 128, 255
    Image.fromarray(values).save(tmp_path / 'mask.png')
    wanted = torch.zeros(6, 8, dtype=torch.bool)
    wanted[1:3] = True
    for mask in (tmp_path / 'mask.png', values, values > 127, np.stack([values] * 3, axis=2)):
        assert torch.equal(read_mask(mask, (6, 8)), wanted)


def test_dark_colours_of_a_mask_are_kept_with_a_word(caplog: pytest.LogCaptureFixture) -> None:
    MMLogger.get_current_instance().handlers.append(caplog.handler)
    index = np.zeros((6, 8), np.uint8)
    index[0], index[1], index[2] = 1, 2, 3
    soft = Image.fromarray(index * 50)
    assert not read_mask(soft, (6, 8))[:3].all() and not caplog.records
    mask = Image.fromarray(index)
    mask.putpalette([0, 0, 0, 128, 0, 0, 255, 255, 255, 255, 255, 0])
    assert read_mask(mask, (6, 8)).any(dim=1).tolist() == [False, True, True, False, False, False]
    assert [record.levelname for record in caplog.records] == ['WARNING']
    assert '8 pixels of the mask are of a dark colour' in caplog.text


def test_integers_of_32_bits_are_a_mask() -> None:
    values = np.zeros((6, 8), np.int32)
    values[2] = 255
    assert read_mask(Image.fromarray(values), (6, 8)).any(dim=1).tolist() == [
        False, False, True, False, False, False]


def test_a_mask_of_another_size() -> None:
    mask = np.zeros((3, 4), bool)
    mask[1, 2] = True
    wanted = torch.zeros(6, 8, dtype=torch.bool)
    wanted[2:4, 4:6] = True
    assert torch.equal(read_mask(mask, (6, 8)), wanted)
    assert read_mask(np.ones((90, 134), bool), (600, 893)).shape == (600, 893)
    for size in ((8, 6), (6, 10), (60, 100)):
        with pytest.raises(ValueError, match=r'The mask has 3 x 4 pixels, the image \d+ x'):
            read_mask(mask, size)


def test_fit_to_model() -> None:
    image = torch.rand(3, 32, 48)
    assert torch.equal(fit_to_model(image, (32, 48)), image)
    assert torch.equal(fit_to_model(image, (32, 32)), image[:, :, 8:40])
    smooth = torch.linspace(0, 1, 64).expand(3, 32, 64)
    fitted = fit_to_model(smooth, (16, 32))
    assert fitted.shape == (3, 16, 32) and fitted.min() >= 0 and fitted.max() <= 1
    assert torch.allclose(fitted, smooth.unflatten(2, (32, 2)).mean(dim=3)[:, :16], atol=0.02)
