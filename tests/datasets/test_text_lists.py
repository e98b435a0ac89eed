"""Lists of paths are read as editors on all systems store them."""
from __future__ import annotations

import os
from pathlib import Path

import pytest

from addp_mm.datasets.text_lists import read_lines


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
def test_lines_of_all_systems(encoding: str, tmp_path: Path):
    path = tmp_path / 'a.txt'
    path.write_bytes('é.png\r\n\n b b.png \nc.png'.encode(encoding))
    assert read_lines(path) == ['é.png', 'b b.png', 'c.png']


def test_names_that_are_not_utf_8(tmp_path: Path):
    path = tmp_path / 'a.txt'
    path.write_bytes('é.png'.encode('latin-1'))
    assert list(map(os.fsencode, read_lines(path))) == [b'\xe9.png']


def test_what_is_no_text_is_refused(tmp_path: Path):
    path = tmp_path / 'a.txt'
    path.write_bytes(b'PK\0\1')
    with pytest.raises(ValueError, match='a.txt is no text'):
        read_lines(path)
