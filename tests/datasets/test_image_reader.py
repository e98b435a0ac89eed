"""The one reader: every kind of file, the same pixels for training, editing, metrics and checks."""
from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest
from PIL import Image

from addp_mm.apis.image_input import read_image, read_mask
from addp_mm.datasets import ImageFolder
from addp_mm.datasets.image_reader import (
    decode_image,
    images_below,
    read_pixels,
    shown_name,
    to_rgb,
)
from addp_mm.datasets.transforms import LoadRobustImage
from addp_mm.evaluation.image_set import open_image_set
from addp_mm.evaluation.reference_set import prepare_reference

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 18, 3), dtype=np.uint8)
RAMP = np.linspace(0, 65535, 12 * 18).reshape(12, 18)


def encoded(image: Image.Image | np.ndarray, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def turned(kind: str, **options: object) -> bytes:
    """Content that lies on its side, and says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(np.rot90(PIXELS).copy(), kind, exif=exif, **options)


def ends(image: Image.Image) -> bytes:
    """A palette picture, one of whose colours is transparent."""
    return encoded(image.convert('P', palette=Image.Palette.ADAPTIVE), 'PNG', transparency=0)


RGB, GREY = Image.fromarray(PIXELS), Image.fromarray(PIXELS[..., 0])
ALPHA = Image.fromarray(np.dstack([PIXELS, np.full((12, 18), 0, np.uint8)]))
# Content of files, by their names.
KINDS = {
    'plain.png': encoded(RGB, 'PNG'), 'plain.jpg': encoded(RGB, 'JPEG', quality=95),
    'progressive.jpg': encoded(RGB, 'JPEG', progressive=True), 'grey.jpg': encoded(GREY, 'JPEG'),
    'cmyk.jpg': encoded(RGB.convert('CMYK'), 'JPEG'), 'grey.png': encoded(GREY, 'PNG'),
    'turned.png': turned('PNG'), 'turned.webp': turned('WEBP', lossless=True),
    'turned.tif': turned('TIFF'), 'turned.jpg': turned('JPEG', quality=95),
    'turned.avif': turned('AVIF'),
    'deep.png': encoded(RAMP.astype(np.uint16), 'PNG'),
    'deep.tif': encoded(RAMP.astype(np.uint16), 'TIFF'),
    'deep-rgb.png': cv2.imencode('.png', np.dstack([RAMP] * 3).astype(np.uint16))[1].tobytes(),
    'float.tif': encoded((RAMP / 65535).astype(np.float32), 'TIFF'),
    'float-rgb.tif': cv2.imencode('.tif', np.dstack([RAMP] * 3).astype(np.float32))[1].tobytes(),
    'zstd.tif': encoded(RGB, 'TIFF', compression='zstd'),
    'lzw.tif': encoded(RGB, 'TIFF', compression='tiff_lzw'), 'cmyk.tif': encoded(
        RGB.convert('CMYK'), 'TIFF'),
    'one-bit.png': encoded(GREY.convert('1'), 'PNG'), 'one-bit.tif': encoded(
        GREY.convert('1'), 'TIFF', compression='group4'),
    'palette.png': encoded(RGB.convert('P'), 'PNG'), 'palette-alpha.png': ends(RGB),
    'alpha.png': encoded(ALPHA, 'PNG'), 'alpha.webp': encoded(ALPHA, 'WEBP', lossless=True),
    'grey-alpha.png': encoded(ALPHA.convert('LA'), 'PNG'),
    'colour-key.png': encoded(RGB, 'PNG', transparency=tuple(map(int, PIXELS[0, 0]))),
    'moving.gif': encoded(RGB, 'GIF', save_all=True, append_images=[RGB.rotate(180)]),
    'moving.png': encoded(RGB, 'PNG', save_all=True, append_images=[RGB.rotate(180)]),
    'moving.webp': encoded(RGB, 'WEBP', save_all=True, append_images=[RGB.rotate(180)],
                           lossless=True),
    'pages.tif': encoded(RGB, 'TIFF', save_all=True, append_images=[RGB.rotate(180)]),
    'bits.bmp': encoded(RGB, 'BMP'), 'plain.ppm': encoded(RGB, 'PPM'),
    'jpeg-2000.jp2': encoded(RGB, 'JPEG2000'), 'a-png-in-truth.jpg': encoded(RGB, 'PNG'),
}


@pytest.mark.parametrize('name', KINDS)
def test_everything_reads_the_same_pixels(tmp_path: Path, name: str):
    path = tmp_path / 'images' / name
    path.parent.mkdir()
    path.write_bytes(KINDS[name])
    expected = read_pixels(path)
    assert expected.dtype == np.uint8 and expected.shape == (12, 18, 3)
    dataset = ImageFolder(data_root=str(path.parent), pipeline=[LoadRobustImage()], test_mode=True)
    np.testing.assert_array_equal(dataset[0]['img'][..., ::-1], expected)
    edited = read_image(path).permute(1, 2, 0).mul(255).round().byte().numpy()
    np.testing.assert_array_equal(edited, expected)
    prepare_reference(path.parent, tmp_path / 'reference', 12)
    reference = next(open_image_set(tmp_path / 'reference').batches(1))[0]
    np.testing.assert_array_equal(reference.permute(1, 2, 0).numpy(), expected[:, 3:15])
    if KINDS[name].startswith(b'\x89PNG'):
        path = path.rename(path.with_suffix('.png'))
        measured = next(open_image_set(path.parent).batches(1))[0]
        np.testing.assert_array_equal(measured.permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize('name', [
    'plain.png', 'turned.png', 'turned.webp', 'turned.tif', 'zstd.tif', 'lzw.tif', 'moving.png',
    'moving.webp', 'pages.tif', 'bits.bmp', 'plain.ppm', 'jpeg-2000.jp2'])
def test_lossless_kinds_show_the_picture_upright_and_its_first_frame(name: str):
    np.testing.assert_array_equal(decode_image(KINDS[name]), np.asarray(
        RGB if 'turned' not in name else Image.fromarray(np.rot90(np.rot90(PIXELS), -1))))


@pytest.mark.parametrize('name', ['deep.png', 'deep.tif', 'float.tif', 'float-rgb.tif'])
def test_more_than_8_bits_keep_their_range(name: str):
    np.testing.assert_allclose(decode_image(KINDS[name])[..., 0], RAMP / 257, atol=1)


def test_a_dark_picture_of_16_bits_stays_dark():
    """Scaled to the range of the type, not of the picture: all pictures by one factor."""
    assert decode_image(encoded(np.full((2, 2), 200, np.uint16), 'PNG')).max() == 0
    assert decode_image(encoded(np.full((2, 2), 25700, np.uint16), 'PNG')).max() == 100


@pytest.mark.parametrize('highest', [1, 255, 65535, 70000])
def test_integers_of_32_bits_are_stretched_whatever_their_range(highest: int):
    image = Image.fromarray(np.array([[0, highest]], np.int32))
    assert np.asarray(to_rgb(image))[0, :, 0].tolist() == [0, 255]
    assert decode_image(encoded(image, 'TIFF'))[0, :, 0].tolist() == [0, 255]


def test_integers_of_16_bits_that_pillow_widens_keep_their_factor():
    values = np.array([[0, 25700]], np.uint16)
    signed = encoded(values, 'TIFF', tiffinfo={339: 2})        # SampleFormat
    for data, mode in ((encoded(values, 'PPM'), 'I'), (b'P2 2 1 65535 0 25700 ', 'I'),
                       (signed, 'I'), (encoded(values, 'TIFF'), 'I;16')):
        assert Image.open(io.BytesIO(data)).mode == mode
        assert decode_image(data)[0, :, 0].tolist() == [0, 100]


@pytest.mark.parametrize('name', ['alpha.png', 'alpha.webp', 'grey-alpha.png'])
def test_transparent_places_become_white_and_are_kept_by_a_mask(name: str, tmp_path: Path):
    assert decode_image(KINDS[name]).min() == 255
    (tmp_path / name).write_bytes(KINDS[name])
    assert not read_mask(tmp_path / name, (12, 18)).any()


@pytest.mark.parametrize('options', [
    dict(quality=q, subsampling=s, progressive=p)
    for q in (30, 75, 95, 100) for s in (0, 1, 2) for p in (False, True)])
@pytest.mark.parametrize('mode', ['RGB', 'L', 'CMYK'])
def test_jpeg_files_are_decoded_as_by_mmcv(options: dict, mode: str):
    """To the bit, as every ImageNet training before; Pillow gives the same but for CMYK."""
    picture = np.random.default_rng(1).integers(0, 256, (37, 53, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(cv2.GaussianBlur(picture, (0, 0), 2)).convert(mode), 'JPEG',
                   **options)
    np.testing.assert_array_equal(decode_image(data, 'bgr'),
                                  mmcv.imfrombytes(data, flag='color', backend='cv2'))
    if mode != 'CMYK':
        np.testing.assert_array_equal(decode_image(data),
                                      Image.open(io.BytesIO(data)).convert('RGB'))


def test_the_fast_way_of_png_is_that_of_pillow():
    for kind in (RGB, GREY):
        data = encoded(kind, 'PNG')
        gamma = struct.pack('>I', 30000)
        chunk = struct.pack('>I', 4) + b'gAMA' + gamma + struct.pack(
            '>I', zlib.crc32(b'gAMA' + gamma))
        for content in (data, data[:33] + chunk + data[33:]):
            np.testing.assert_array_equal(decode_image(content),
                                          Image.open(io.BytesIO(content)).convert('RGB'))


@pytest.mark.parametrize('data, message', [
    (b'', 'the file is empty'), (b'no image', 'not an image'), (b'\0' * 400, 'not an image'),
    (KINDS['plain.png'][:-60], 'cut off'), (KINDS['plain.jpg'][:-60], 'cut off'),
    (KINDS['bits.bmp'][:-60], 'truncated'), (KINDS['lzw.tif'][:-3], 'cut off|not an image'),
    (KINDS['float-rgb.tif'][:300], '.'), (KINDS['turned.webp'][:-100], '.'),
    (b'\0\0\0\x18ftypheic' + b'\0' * 60, 'HEIC, which cannot be read here: convert it to JPEG'),
    (b'\0\0\0\x18ftypavif' + b'\0' * 60, 'AVIF, which cannot be read here'),
    (b'\0\0\0\x0cJXL \r\n\x87\n' + b'\0' * 60, 'JPEG XL, which cannot be read here'),
    (b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n', 'not an image')])
def test_what_is_no_picture_is_told_in_one_line(data: bytes, message: str):
    with pytest.raises(ValueError, match=message) as caught:
        decode_image(data)
    assert '\n' not in str(caught.value) and str(caught.value)


def test_too_many_pixels_are_refused_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 12 * 18 // 2 - 1)
    for name in ('plain.jpg', 'plain.png', 'lzw.tif'):
        with pytest.raises(ValueError, match='megapixels: cut it into tiles'):
            decode_image(KINDS[name])


def test_linked_folders_are_followed_but_not_up_again(tmp_path: Path):
    for name in ('images/a/1.png', 'elsewhere/2.PNG', 'images/out/3.png', 'images/a/._1.png',
                 'images/a/notes.txt'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(KINDS['plain.png'])
    folder = tmp_path / 'images'
    (folder / 'link').symlink_to(tmp_path / 'elsewhere')
    (folder / 'a' / 'root').symlink_to('/')
    (tmp_path / 'elsewhere' / 'up').symlink_to(folder)
    found = images_below(folder, leave_out=folder / 'out')
    assert found == [folder / 'a' / '1.png', folder / 'link' / '2.PNG']
    (folder / 'a' / 'root').unlink()
    with pytest.raises(ValueError, match='a link that leads up again.*remove the link'):
        ImageFolder(data_root=str(folder))
    (tmp_path / 'elsewhere' / 'up').unlink()
    assert len(ImageFolder(data_root=str(folder))) == 3     # with what is in out/
    (folder / 'a' / 'here').symlink_to(folder / 'a')
    with pytest.raises(ValueError, match='many times: remove the link'):
        ImageFolder(data_root=str(folder))


def test_names_that_are_not_utf_8(tmp_path: Path):
    path = os.fsdecode(os.fsencode(tmp_path) + b'/caf\xe9.png')
    Path(path).write_bytes(KINDS['plain.png'])
    assert shown_name(path).endswith('/caf\\udce9.png')
    dataset = ImageFolder(data_root=str(tmp_path), pipeline=[LoadRobustImage()])
    assert dataset[0]['img'].shape == (12, 18, 3)
    Path(path).write_bytes(b'')
    assert LoadRobustImage()(dict(img_path=path)) is None


def test_pictures_of_phones_are_counted_and_named(tmp_path: Path, caplog):
    from mmengine.logging import MMLogger
    (tmp_path / 'IMG_1.HEIC').write_bytes(b'\0\0\0\x18ftypheic' + b'\0' * 60)
    with pytest.raises(ValueError, match=r'1 files such as IMG_1\.HEIC .*convert them to JPEG'):
        ImageFolder(data_root=str(tmp_path))
    (tmp_path / 'a.png').write_bytes(KINDS['plain.png'])
    MMLogger.get_current_instance().handlers.append(caplog.handler)
    assert len(ImageFolder(data_root=str(tmp_path))) == 1
    assert '1 files such as IMG_1.HEIC' in caplog.text
