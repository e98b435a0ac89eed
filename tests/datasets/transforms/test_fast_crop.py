"""FastCrop: the boxes of RandomResizedCrop, nearly its pixels."""
from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmpretrain.datasets import RandomResizedCrop
from PIL import Image

from addp_mm.datasets.transforms import LoadRobustImage, SeedTransforms
from addp_mm.datasets.transforms.fast_crop import FastCrop, read_header

CROP = dict(type='RandomResizedCrop', scale=64, crop_ratio_range=(0.2, 1.), backend='pillow',
            interpolation='bicubic')


@pytest.fixture(scope='module')
def photograph() -> Image.Image:
    """640 x 427 pixels."""
    from sklearn.datasets import load_sample_image
    return Image.fromarray(load_sample_image('china.jpg'))


def encode(image: Image.Image, kind: str = 'JPEG', **kwargs) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **({'quality': 92} if kind == 'JPEG' else {}), **kwargs)
    return buffer.getvalue()


def draw_state() -> tuple:
    return tuple(np.random.get_state()[1]) + np.random.get_state()[2:3]


def both_ways(path: Path, crop: dict, seed: int, **kwargs) -> tuple[dict, dict]:
    """The crop as a step of its own and inside of the loading, from the same seed."""
    step = RandomResizedCrop(**{key: value for key, value in crop.items() if key != 'type'})
    np.random.seed(seed)
    plain = step(LoadRobustImage(**kwargs)(dict(img_path=str(path))))
    state = draw_state()
    np.random.seed(seed)
    fast = LoadRobustImage(crop=crop, **kwargs)(dict(img_path=str(path)))
    assert draw_state() == state
    return plain, fast


def check_equal(path: Path, tolerance: float, crop: dict = CROP, num_draws: int = 6,
                **kwargs) -> None:
    for seed in range(num_draws):
        plain, fast = both_ways(path, crop, seed, **kwargs)
        assert fast['img'].shape == plain['img'].shape and fast['img'].dtype == plain['img'].dtype
        assert fast['ori_shape'] == plain['ori_shape']
        assert fast['img_shape'] == plain['img'].shape[:2]
        difference = np.abs(fast['img'].astype(float) - plain['img'])
        assert difference.mean() < tolerance


@pytest.mark.parametrize('crop, kwargs', [
    (dict(), dict()), (dict(scale=(96, 64)), dict()), (dict(scale=500), dict()),
    (dict(interpolation='bilinear'), dict()), (dict(), dict(color_type='grayscale')),
    (dict(), dict(imdecode_backend='pillow'))])
def test_small_jpeg_is_cropped_from_the_whole_image(tmp_path, photograph, crop, kwargs):
    (tmp_path / 'a.jpg').write_bytes(encode(photograph.resize((250, 188))))
    check_equal(tmp_path / 'a.jpg', 0.3, {**CROP, **crop}, **kwargs)


@pytest.mark.parametrize('kind, mode', [('PNG', 'RGB'), ('PNG', 'RGBA'), ('JPEG', 'L'),
                                        ('JPEG', 'CMYK'), ('BMP', 'RGB')])
def test_other_formats_and_modes(tmp_path, photograph, kind, mode):
    (tmp_path / 'a').write_bytes(encode(photograph.convert(mode), kind))
    check_equal(tmp_path / 'a', 0.3 if kind != 'JPEG' else 1., num_draws=3)


@pytest.mark.parametrize('size', [(640, 427), (1023, 769), (427, 2001)])
@pytest.mark.parametrize('kwargs', [dict(), dict(progressive=True), dict(subsampling=0)])
def test_large_jpeg_is_decoded_small(tmp_path, photograph, size, kwargs):
    (tmp_path / 'a.jpg').write_bytes(encode(photograph.resize(size), **kwargs))
    check_equal(tmp_path / 'a.jpg', 1.)


@pytest.mark.parametrize('crop, kwargs', [
    (dict(scale=(96, 64)), dict()), (dict(interpolation='bilinear'), dict()),
    (dict(), dict(color_type='grayscale')), (dict(), dict(imdecode_backend='pillow'))])
def test_large_jpeg_with_other_settings(tmp_path, photograph, crop, kwargs):
    (tmp_path / 'a.jpg').write_bytes(encode(photograph))
    check_equal(tmp_path / 'a.jpg', 1., {**CROP, **crop}, **kwargs)


def test_loader_decodes_at_a_smaller_size(photograph):
    for factor, size in ((1, (427, 640, 3)), (2, (214, 320, 3)), (8, (54, 80, 3))):
        assert LoadRobustImage()._decode(encode(photograph), factor).shape == size


@pytest.mark.parametrize('sides, factor', [
    ((255, 300), 1), ((256, 256), 2), ((400, 256), 2), ((511, 900), 2), ((600, 512), 4),
    ((1024, 1024), 8), ((5000, 5000), 8)])
def test_output_stays_half_of_what_is_decoded(photograph, sides, factor):
    data = encode(Image.new('RGB', sides[::-1]))
    factors = []

    def decode(data: bytes, factor: int) -> np.ndarray:
        factors.append(factor)
        return np.zeros((*(-(-side // factor) for side in sides), 3), np.uint8)

    crop = RandomResizedCrop(64, crop_ratio_range=(1., 1.), aspect_ratio_range=(0.1, 10.),
                             max_attempts=0, backend='pillow', interpolation='bicubic')
    image, size = FastCrop(crop)(data, decode)
    assert factors == [factor] and size == sides and image.shape == (64, 64, 3)


@pytest.mark.parametrize('size', [(640, 424), (637, 427)])
@pytest.mark.parametrize('orientation', [3, 6, 8])
def test_turned_photographs(tmp_path, photograph, orientation, size):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(photograph.resize(size), exif=exif)
    assert read_header(data, 0) == (size[::-1] if orientation == 3 else size, True)
    (tmp_path / 'a.jpg').write_bytes(data)
    check_equal(tmp_path / 'a.jpg', 1.)


def test_header_that_the_decoder_reads_otherwise(tmp_path, photograph):
    """Pillow also turns by XMP, OpenCV does not: the image is then decoded whole."""
    data = encode(photograph.resize((640, 424)), xmp=b'<x tiff:Orientation="6"/>')
    assert read_header(data, 0) == ((640, 424), True)
    (tmp_path / 'a.jpg').write_bytes(data)
    check_equal(tmp_path / 'a.jpg', 0.3)


def test_box_keeps_its_place_when_decoded_small(tmp_path):
    """A slope tells the place: 1 pixel of the photograph is 1/4 of a grey level."""
    slope = np.broadcast_to((np.arange(1000) / 4).round().astype(np.uint8), (1000, 1000))
    (tmp_path / 'a.jpg').write_bytes(encode(Image.fromarray(slope).convert('RGB'), subsampling=0))
    for seed in range(12):
        plain, fast = both_ways(tmp_path / 'a.jpg', CROP, seed)
        shift = fast['img'].astype(float).mean() - plain['img'].mean()
        assert abs(shift) < 0.5 / 4


@pytest.mark.parametrize('size', [(640, 427), (64, 64)])
def test_unreadable_image_leaves_no_draw(tmp_path, photograph, size):
    """The data set then draws another one, which must be the plain way's."""
    whole = encode(photograph.resize(size))
    (tmp_path / 'a.jpg').write_bytes(whole[:whole.index(b'\xff\xda')] + b'\xff\xd9')
    assert cv2.imread(str(tmp_path / 'a.jpg')) is None
    np.random.seed(3)
    state = draw_state()
    assert LoadRobustImage(crop=CROP)(dict(img_path=str(tmp_path / 'a.jpg'))) is None
    assert draw_state() == state


@pytest.mark.parametrize('data', [b'', b'no image', b'\xff\xd8\xff\xe1\x00\x10Exif'])
def test_no_size_without_a_header(data):
    assert read_header(data, 0) is None


def test_header_of_a_small_image_is_not_used(photograph):
    assert read_header(encode(photograph), 427) == ((427, 640), False)
    assert read_header(encode(photograph), 428) is None


def test_seeded_draws_follow_image_and_epoch(tmp_path, photograph):
    (tmp_path / 'a.jpg').write_bytes(encode(photograph))
    seeding, loading = SeedTransforms(), LoadRobustImage(crop=CROP)

    def load(epoch: int) -> np.ndarray:
        seeding.start_epoch(seed=1, epoch=epoch, rank=0, once=True)
        return loading(seeding(dict(img_path=str(tmp_path / 'a.jpg'), sample_idx=5)))['img']

    first = load(0)
    assert not np.array_equal(load(1), first)
    seeding._epoch = None       # a worker that starts anew
    assert np.array_equal(load(0), first)


def test_float_output(tmp_path, photograph):
    (tmp_path / 'a.jpg').write_bytes(encode(photograph))
    results = LoadRobustImage(crop=CROP, to_float32=True)(dict(img_path=str(tmp_path / 'a.jpg')))
    assert results['img'].dtype == np.float32 and results['img'].max() > 1


@pytest.mark.parametrize('crop', [
    {**CROP, 'backend': 'cv2'}, {**CROP, 'interpolation': 'lanczos'},
    dict(type='CenterCrop', crop_size=64)])
def test_crop_that_has_no_fast_form(crop):
    with pytest.raises(ValueError, match='crop must be a RandomResizedCrop'):
        LoadRobustImage(crop=crop)
