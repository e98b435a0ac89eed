"""LoadRobustImage: a few broken images are skipped, named and counted."""
from __future__ import annotations

import copy
import io
from pathlib import Path

import numpy as np
import pytest
from mmengine.dataset import BaseDataset
from mmengine.logging import MMLogger
from PIL import Image
from torch.utils.data import DataLoader

from addp_mm.datasets import ImageFolder
from addp_mm.datasets.transforms import LoadRobustImage, SeedTransforms, log_unreadable


def encoded(kind: str, size: int = 40, **kwargs) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **kwargs)
    return buffer.getvalue()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    MMLogger.get_current_instance().handlers.append(caplog.handler)
    return caplog


def load(transform: LoadRobustImage, path: Path) -> dict | None:
    return transform(dict(img_path=str(path)))


def folder_of(path: Path, num_good: int, num_bad: int) -> Path:
    path.mkdir()
    for index in range(num_good):
        (path / f'good{index}.jpg').write_bytes(encoded('JPEG', size=16))
    for index in range(num_bad):
        (path / f'bad{index}.jpg').write_bytes(b'no image')
    return path


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'BMP', 'WEBP'])
def test_good_image_is_loaded(tmp_path, kind):
    path = tmp_path / f'a.{kind.lower()}'
    path.write_bytes(encoded(kind))
    results = load(LoadRobustImage(), path)
    assert results['img'].shape == (40, 40, 3) and results['img'].dtype == np.uint8
    assert results['img_shape'] == results['ori_shape'] == (40, 40)


def test_mmcv_loads_the_same_pixels(tmp_path):
    from mmcv.transforms import LoadImageFromFile
    (tmp_path / 'a.jpg').write_bytes(encoded('JPEG'))
    for kwargs in (dict(), dict(to_float32=True), dict(color_type='grayscale')):
        expected = LoadImageFromFile(**kwargs)(dict(img_path=str(tmp_path / 'a.jpg')))['img']
        got = load(LoadRobustImage(**kwargs), tmp_path / 'a.jpg')['img']
        assert got.dtype == expected.dtype and np.array_equal(got, expected)


@pytest.mark.parametrize('content, reason', [
    (b'', 'the file is empty'), (b'not an image', 'not an image'),
    (encoded('JPEG')[:-400], 'cut off'), (encoded('JPEG', progressive=True)[:-400], 'cut off'),
    (encoded('PNG')[:-400], 'cut off'), (None, 'No such file')])
def test_unreadable_image_is_named(tmp_path, log, content, reason):
    path = tmp_path / 'broken.jpg'
    if content is not None:
        path.write_bytes(content)
    assert load(LoadRobustImage(), path) is None
    assert str(path) in log.text and reason in log.text


@pytest.mark.parametrize('content', [
    encoded('JPEG') + b'\0' * 300, encoded('JPEG', progressive=True),
    encoded('JPEG') + b'camera data \xff\xd9', encoded('PNG') + b'trailer'])
def test_bytes_behind_the_end_do_no_harm(tmp_path, content):
    (tmp_path / 'a.jpg').write_bytes(content)
    assert load(LoadRobustImage(), tmp_path / 'a.jpg') is not None


def test_preview_inside_a_cut_jpeg_is_not_its_end(tmp_path, log):
    preview = encoded('JPEG', size=8)
    exif = b'\xff\xe1' + (len(preview) + 2).to_bytes(2, 'big') + preview
    whole = encoded('JPEG')
    (tmp_path / 'a.jpg').write_bytes(whole[:2] + exif + whole[2:])
    (tmp_path / 'b.jpg').write_bytes(whole[:2] + exif + whole[2:-300])
    assert load(LoadRobustImage(), tmp_path / 'a.jpg') is not None
    assert load(LoadRobustImage(), tmp_path / 'b.jpg') is None and 'cut off' in log.text


@pytest.mark.parametrize('num_workers', [0, 2])
def test_training_skips_counts_and_names_a_broken_image(tmp_path, log, num_workers):
    folder = folder_of(tmp_path / 'images', num_good=7, num_bad=1)
    transform = LoadRobustImage()
    dataset = ImageFolder(data_root=str(folder), pipeline=[SeedTransforms(), transform])
    for _ in range(2):      # two epochs; the broken one is not counted again
        loader = DataLoader(dataset, num_workers=num_workers, collate_fn=lambda batch: batch)
        assert [item['img'].shape for (item,) in loader] == [(16, 16, 3)] * 8
    assert len(transform._bad_images) == 1
    assert transform._bad_images.num_loads == 18
    if not num_workers:
        lines = [r.getMessage() for r in log.records if 'Unreadable' in r.getMessage()]
        assert len(lines) == 1 and 'bad0.jpg' in lines[0] and 'number 1 among' in lines[0]


def test_too_many_stop_the_training(tmp_path, log):
    transform = LoadRobustImage(max_bad_share=0.5, min_bad_allowed=2)
    for index in range(2):
        assert load(transform, tmp_path / f'{index}.jpg') is None
    with pytest.raises(ValueError, match=r'3 of 3 loaded images .*2\.jpg.*log_unreadable'):
        load(transform, tmp_path / '2.jpg')


def test_share_counts_where_images_are_many(tmp_path):
    (tmp_path / 'good.png').write_bytes(encoded('PNG', size=4))
    transform = LoadRobustImage(max_bad_share=0.5, min_bad_allowed=0)
    for index in range(4):
        assert load(transform, tmp_path / 'good.png') is not None
        assert load(transform, tmp_path / f'{index}.jpg') is None


def test_copies_of_a_data_set_count_together(tmp_path):
    transform = LoadRobustImage()
    load(copy.deepcopy(transform), tmp_path / 'missing.jpg')
    assert len(transform._bad_images) == 1 and transform._bad_images.num_loads == 1


def test_evaluation_stops_with_the_name(tmp_path):
    folder = folder_of(tmp_path / 'images', num_good=1, num_bad=1)
    dataset: BaseDataset = ImageFolder(
        data_root=str(folder), pipeline=[LoadRobustImage()], test_mode=True)
    with pytest.raises(ValueError, match=r'bad0\.jpg is unreadable.*evaluation'):
        dataset[0]
    assert dataset[1]['img'].shape == (16, 16, 3)


def test_unreadable_files_of_a_folder_are_listed(tmp_path, log):
    folder = folder_of(tmp_path / 'images', num_good=2, num_bad=12)
    assert log_unreadable(folder) == sorted(str(p) for p in folder.glob('bad*'))
    assert '12 of 14 files' in log.text


def test_an_image_that_an_inferencer_has_loaded_stays():
    image = np.zeros((4, 5, 3), np.uint8)
    results = LoadRobustImage()(dict(img=image, img_shape=(4, 5), ori_shape=(4, 5)))
    assert results['img'] is image
