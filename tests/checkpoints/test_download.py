"""Released files from a server, a mirror, the hub's cache and a folder; and what must not stay."""
from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from addp_mm.checkpoints.download import fetch, file_hash, releases_folder
from addp_mm.checkpoints.releases import Release
from tests.helpers.hub_server import HubServer, hub_server

CONTENT = bytes(range(256)) * 40
HASH = hashlib.sha256(CONTENT).hexdigest()
ON_HUB = Release('addp_x', 'x', 'x.pth', 'reference', 'x.py', 'MIT', hub='owner/repo')


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setenv('ADDP_RELEASES', str(tmp_path / 'releases'))
    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'hub'))
    (tmp_path / 'served').mkdir()
    (tmp_path / 'served' / 'x.pth').write_bytes(CONTENT)
    with hub_server(tmp_path / 'served', monkeypatch) as running:
        yield running


def kept() -> list[str]:
    """The files in the releases folder, locks left out."""
    return sorted(p.name for p in releases_folder().iterdir() if p.suffix != '.lock')


def test_download_once(server: HubServer) -> None:
    path = fetch(ON_HUB)
    assert path.read_bytes() == CONTENT and path.parent == releases_folder()
    assert (path.parent / 'x.pth.sha256').read_text() == f'{HASH}  x.pth\n'
    asked = len(server.requests)
    assert fetch(ON_HUB) == path and len(server.requests) == asked


def test_a_download_that_was_cut_off_goes_on(server: HubServer) -> None:
    releases_folder().mkdir()
    (releases_folder() / 'x.pth.incomplete').write_bytes(CONTENT[:3000])
    assert fetch(ON_HUB).read_bytes() == CONTENT
    assert server.requests[-1] == ('GET', 'x.pth', 'bytes=3000-')
    assert kept() == ['x.pth', 'x.pth.sha256']


def test_a_download_that_was_whole_but_not_compared(server: HubServer) -> None:
    releases_folder().mkdir()
    (releases_folder() / 'x.pth.incomplete').write_bytes(CONTENT)
    assert fetch(ON_HUB).read_bytes() == CONTENT


@pytest.mark.parametrize('release, stated', [
    (ON_HUB, 64 * '0'),
    (Release('addp_x', 'x', 'x.pth', 'reference', 'x.py', 'MIT', hub='o/r', sha256=64 * '1'), None),
])
def test_a_wrong_hash_keeps_nothing(server: HubServer, release: Release,
                                    stated: str | None) -> None:
    server.stated_hash = stated
    with pytest.raises(ValueError, match=f'not the released file .*, got {HASH}'):
        fetch(release)
    assert kept() == []


def test_a_web_page_keeps_nothing(server: HubServer) -> None:
    (server.folder / 'x.pth').write_text('<html>Too many downloads</html>')
    with pytest.raises(ValueError, match='is a web page and was removed'):
        fetch(ON_HUB)
    assert kept() == []


def test_a_mirror(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    release = Release('vqgan_x', 'v', 'x.pth', 'vqgan', 'x.py', 'MIT', url='http://127.0.0.1:1/gone')
    monkeypatch.setenv('ADDP_MIRROR', f'{server.address}/files/')
    assert fetch(release).read_bytes() == CONTENT
    assert [method for method, _, _ in server.requests] == ['GET']


def test_a_file_that_was_changed(server: HubServer) -> None:
    fetch(ON_HUB).write_bytes(CONTENT[:-1] + b'?')
    with pytest.raises(ValueError, match=f'expected SHA-256 {HASH}.*Remove it'):
        fetch(ON_HUB)
    assert (releases_folder() / 'x.pth').exists()


def test_a_file_of_the_same_size_and_date_is_read_again(tmp_path: Path) -> None:
    path, found = tmp_path / 'weights', set()
    for content in (b'first', b'other'):
        path.write_bytes(content)
        os.utime(path, (0, 0))
        found.add(file_hash(path))
        time.sleep(0.02)        # the clock of files is coarse
    assert len(found) == 2


def test_a_file_put_there_by_hand(server: HubServer) -> None:
    releases_folder().mkdir()
    (releases_folder() / 'x.pth').write_bytes(b'mine')
    assert fetch(ON_HUB).read_bytes() == b'mine' and not server.requests


def test_the_hubs_cache(server: HubServer) -> None:
    from huggingface_hub import hf_hub_download
    found = hf_hub_download('owner/repo', 'x.pth', endpoint=server.address,
                            cache_dir=constants.HF_HUB_CACHE)
    asked = len(server.requests)
    assert fetch(ON_HUB) == Path(found) and len(server.requests) == asked
    Path(found).resolve().write_bytes(b'broken')
    with pytest.raises(ValueError, match=f'expected SHA-256 {HASH}'):
        fetch(ON_HUB)


def test_offline_says_where_to_put_the_file(server: HubServer,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
    with pytest.raises(ConnectionError) as error:
        fetch(ON_HUB)
    for part in ('HF_HUB_OFFLINE is set', 'https://huggingface.co/owner/repo',
                 f'put it there: {releases_folder() / "x.pth"}'):
        assert part in str(error.value)
    assert not server.requests


def test_a_file_that_the_server_does_not_have(server: HubServer) -> None:
    (server.folder / 'x.pth').unlink()
    with pytest.raises(ConnectionError, match='could not be downloaded .*404'):
        fetch(ON_HUB)
