"""The reference set of FID."""
from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from addp_mm.evaluation.reference_set import prepare_reference, read_reference_record


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Five images of other sizes and modes, two of them with one name, as ImageNet's folders."""
    rng = np.random.default_rng(0)
    folder = tmp_path / 'val'
    for index, (name, shape) in enumerate({
            'a/1.JPEG': (40, 60, 3), 'b/1.JPEG': (33, 21, 3), 'b/2.png': (16, 16),
            'c.jpg': (90, 30, 3), 'd.PNG': (20, 50, 4)}.items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, shape).astype(np.uint8)).save(path)
        assert index < 5
    return folder


def test_crops_as_the_reference_protocol(source: Path, tmp_path: Path):
    out = tmp_path / 'out'
    done = []
    assert prepare_reference(source, out, 16, on_images=lambda *args: done.append(args)) == 5
    assert sorted(path.name for path in out.glob('*.png')) == [
        'a_1.png', 'b_1.png', 'b_2.png', 'c.png', 'd.png']
    assert done == [(number, 5) for number in range(1, 6)]
    # By hand: shorter side to 16, bilinear, longer side cut off below; then the middle.
    for name, path, size, box in (('a_1', 'a/1.JPEG', (24, 16), (4, 0, 20, 16)),
                                  ('c', 'c.jpg', (16, 48), (0, 16, 16, 32)),
                                  ('b_1', 'b/1.JPEG', (16, 25), (0, 4, 16, 20))):
        image = Image.open(source / path).convert('RGB').resize(size, Image.Resampling.BILINEAR)
        written = Image.open(out / f'{name}.png')
        assert written.format == 'PNG' and written.mode == 'RGB'
        np.testing.assert_array_equal(np.asarray(written), np.asarray(image.crop(box)))
    record = read_reference_record(out)
    assert record['num_images'] == 5 and record['size'] == 16
    assert record['source'] == str(source)


def test_goes_on_after_an_interruption(source: Path, tmp_path: Path):
    out = tmp_path / 'out'
    broken = (source / 'b' / '2.png').read_bytes()
    (source / 'b' / '2.png').write_bytes(broken[:40])
    with pytest.raises(ValueError, match=r'2\.png is unreadable.*run the same command again'):
        prepare_reference(source, out, 16, num_threads=1)
    with pytest.raises(ValueError, match='not complete'):
        read_reference_record(out)
    written = {path: path.stat().st_mtime_ns for path in out.glob('*.png')}
    assert 0 < len(written) < 5
    (out / '.c.png.partial').write_bytes(b'half')
    (source / 'b' / '2.png').write_bytes(broken)
    assert prepare_reference(source, out, 16) == 5
    assert len(list(out.glob('*.png'))) == 5 and not list(out.glob('.*'))
    assert all(path.stat().st_mtime_ns == time for path, time in written.items())
    assert read_reference_record(out) is not None


def test_images_of_replaced_originals_and_broken_ones_are_made_again(source: Path, tmp_path: Path):
    out = tmp_path / 'out'
    prepare_reference(source, out, 16)
    whole = {path: path.read_bytes() for path in out.glob('*.png')}
    newer, older = source / 'd.PNG', source / 'b' / '2.png'
    Image.new('RGB', (20, 20), 'red').save(newer)
    status = older.stat()
    Image.new('RGB', (20, 20), 'lime').save(older)
    os.utime(older, ns=(status.st_atime_ns, status.st_mtime_ns))        # as `cp -p` leaves it
    (out / 'c.png').write_bytes(whole[out / 'c.png'][:-20])
    done = []
    assert prepare_reference(source, out, 16, on_images=lambda *args: done.append(args)) == 5
    assert done == [(3, 5), (4, 5), (5, 5)]
    assert Image.open(out / 'd.png').getpixel((8, 8)) == (255, 0, 0)
    assert Image.open(out / 'b_2.png').getpixel((8, 8)) == (0, 255, 0)
    assert (out / 'c.png').read_bytes() == whole[out / 'c.png']


def test_refuses_other_folders(source: Path, tmp_path: Path):
    out = tmp_path / 'out'
    prepare_reference(source, out, 16)
    with pytest.raises(ValueError, match='size 16, now 8'):
        prepare_reference(source, out, 8)
    (source / 'c.jpg').rename(source / 'e.jpg')
    with pytest.raises(ValueError, match='names_sha256'):
        prepare_reference(source, out, 16)
    with pytest.raises(ValueError, match='already holds other files'):
        prepare_reference(source, source)
    with pytest.raises(FileNotFoundError, match='nowhere'):
        prepare_reference(tmp_path / 'nowhere', out)
    with pytest.raises(ValueError, match='at least 1'):
        prepare_reference(source, out, 0)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='found none'):
        prepare_reference(tmp_path / 'empty', tmp_path / 'new')
    assert not (tmp_path / 'new').exists()


def test_two_images_of_one_name(source: Path, tmp_path: Path):
    (source / 'a_1.png').write_bytes(b'')
    with pytest.raises(ValueError, match=r'would both become a_1\.png'):
        prepare_reference(source, tmp_path / 'out')


def test_other_folders_have_no_record(tmp_path: Path):
    assert read_reference_record(tmp_path) is None
    (tmp_path / 'reference.json').write_text(json.dumps(dict(complete=True, size=3)))
    assert read_reference_record(tmp_path) == dict(size=3)
