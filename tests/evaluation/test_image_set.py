"""Image sets in folders and .npz files."""
from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from addp_mm.evaluation.image_set import open_image_set


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 6, 8, 3)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path, pixels: np.ndarray) -> Path:
    folder = tmp_path / 'images'
    folder.mkdir()
    for index in reversed(range(5)):
        Image.fromarray(pixels[index]).save(folder / f'{index}.png')
    return folder


@pytest.mark.parametrize('kind', ['png', 'npz', 'compressed'])
@pytest.mark.parametrize('batch_size', [2, 9])
def test_reads_all_images_in_order(folder: Path, pixels: np.ndarray, kind: str, batch_size: int):
    path = folder if kind == 'png' else folder / 'all.npz'
    if kind != 'png':
        (np.savez if kind == 'npz' else np.savez_compressed)(path, pixels)
    images = open_image_set(path)
    assert len(images) == 5 and images.image_size == (6, 8)
    batches = list(images.batches(batch_size))
    assert [len(batch) for batch in batches] == ([2, 2, 1] if batch_size == 2 else [5])
    assert torch.cat(batches).dtype == torch.uint8
    np.testing.assert_array_equal(torch.cat(batches).permute(0, 2, 3, 1), pixels)


def test_subfolders_are_read_only_where_the_folder_has_no_image(folder: Path):
    (folder / 'steps').mkdir()
    Image.new('RGB', (8, 6)).save(folder / 'steps' / 'chain.png')
    assert len(open_image_set(folder)) == 5
    assert len(open_image_set(folder.parent)) == 6


def test_the_fingerprint_follows_names_and_content_not_place_or_time(folder: Path):
    before = open_image_set(folder).fingerprint()
    os.utime(folder / '3.png', (0, 0))
    folder = folder.rename(folder.with_name('moved'))
    assert open_image_set(folder).fingerprint() == before
    (folder / '3.png').rename(folder / '30.png')
    assert open_image_set(folder).fingerprint() != before


def test_files_of_the_same_names_sizes_and_times_have_other_fingerprints(tmp_path: Path,
                                                                        pixels: np.ndarray):
    found = set()
    for image in (pixels[0], 255 - pixels[0]):
        Image.fromarray(image).save(tmp_path / '0.png', compress_level=0)
        os.utime(tmp_path / '0.png', (0, 0))
        found.add((open_image_set(tmp_path).fingerprint(), (tmp_path / '0.png').stat().st_size))
    assert len(found) == 2
    assert len({size for _, size in found}) == 1


def test_the_fingerprint_of_an_archive_is_that_of_its_content(tmp_path: Path, pixels: np.ndarray):
    path, found = tmp_path / 'all.npz', []
    for content in (pixels, 255 - pixels, pixels):
        np.savez(path, content)
        os.utime(path, (0, 0))
        found.append(open_image_set(path).fingerprint())
    assert found[0] == found[2] != found[1]
    assert open_image_set(path.rename(tmp_path / 'other.npz')).fingerprint() == found[0]


@pytest.mark.parametrize('name', ['extra.jpg', 'extra.JPEG', 'extra.webp'])
def test_lossy_files_are_refused_with_the_reason(folder: Path, name: str):
    (folder / name).write_bytes(b'')
    with pytest.raises(ValueError, match=f'(?s){name}.*JPEG artefacts.*prepare_reference'):
        open_image_set(folder)


def test_a_jpeg_called_png_is_refused(folder: Path):
    Image.new('RGB', (8, 6)).save(folder / '5.png', 'JPEG')
    with pytest.raises(ValueError, match=r'5\.png is a JPEG'):
        list(open_image_set(folder).batches(4))


def test_other_sizes_and_broken_files_are_named(folder: Path):
    Image.new('RGB', (9, 6)).save(folder / '2.png')
    with pytest.raises(ValueError, match=r'2\.png has \(6, 9\).*0\.png has \(6, 8\)'):
        list(open_image_set(folder).batches(4))
    (folder / '2.png').write_bytes((folder / '3.png').read_bytes()[:60])
    with pytest.raises(ValueError, match=r'2\.png is unreadable'):
        list(open_image_set(folder).batches(4))


def test_other_arrays_are_refused(tmp_path: Path, pixels: np.ndarray):
    path = tmp_path / 'images.npz'
    for arrays, message in ((dict(arr_0=pixels / 255), 'float64'), (dict(arr_0=pixels[..., 0]),
                            r'\(5, 6, 8\)'), (dict(a=pixels, b=pixels), r"\['a', 'b'\]")):
        np.savez(path, **arrays)
        with pytest.raises(ValueError, match=message):
            open_image_set(path)
    np.save(tmp_path / 'images.npy', pixels)
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('arr_0.npy', (tmp_path / 'images.npy').read_bytes()[:-7])
    with pytest.raises(ValueError, match='cut off'):
        list(open_image_set(path).batches(2))
    np.savez(path, pixels)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match='no whole .npz'):
        open_image_set(path)


def test_nothing_and_empty(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match='missing'):
        open_image_set(tmp_path / 'missing')
    with pytest.raises(ValueError, match='there are none'):
        open_image_set(tmp_path)
    (tmp_path / 'a.txt').write_text('')
    with pytest.raises(ValueError, match=r'folder of PNG files or an \.npz'):
        open_image_set(tmp_path / 'a.txt')
