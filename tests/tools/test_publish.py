"""Publishing as a command: a folder, and its upload to a stand-in of the hub."""
from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from addp_mm.checkpoints.weight_files import save_weights
from tests.helpers.hub_server import hub_server
from tests.helpers.tiny import build_model, tiny_addp_cfg
from tests.helpers.tools import run_tool


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp('trained')
    cfg = tiny_addp_cfg(root)
    Config(dict(model=cfg)).dump(root / 'addp.py')
    save_weights(build_model(cfg).state_dict(), root / 'addp.pth')
    return [root / 'addp.py', root / 'addp.pth']


def test_upload(trained: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / 'scores.json').write_text('{"scores": {"fid": 3.5}}')
    with hub_server(tmp_path, monkeypatch) as server:
        assert run_tool('publish', *trained, '--out', tmp_path / 'out', '--license', 'mit',
                        '--scores', tmp_path / 'scores.json', '--device', 'cpu',
                        '--upload', 'me/addp') == 0
    assert server.uploaded == {p.name: p.read_bytes() for p in (tmp_path / 'out').iterdir()}
    card = server.uploaded['README.md'].decode()
    assert '| fid | 3.5 |' in card and "from_pretrained('me/addp')" in card
    assert 'Uploaded: http://127.0.0.1' in capsys.readouterr().out


def test_an_encoder_alone(trained: list[Path], tmp_path: Path,
                          capsys: pytest.CaptureFixture[str]) -> None:
    words = ['publish', *trained, '--out', tmp_path / 'out', '--license', 'mit', '--encoder',
             '--device', 'cpu']
    assert run_tool(*words) == 0
    assert sorted(p.name for p in (tmp_path / 'out').iterdir()) == [
        'README.md', 'backbone.pth', 'config.json', 'model.safetensors']
    (tmp_path / 'out' / 'config.json').unlink()
    assert run_tool(*words) == 2
    assert 'holds other files' in capsys.readouterr().err


def test_an_upload_that_fails_keeps_the_folder(trained: list[Path], tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    from huggingface_hub import constants
    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
    assert run_tool('publish', *trained, '--out', tmp_path / 'out', '--license', 'mit',
                    '--device', 'cpu', '--upload', 'me/addp') == 2
    assert 'is whole, but could not be sent to me/addp' in capsys.readouterr().err
    assert (tmp_path / 'out' / 'model.safetensors').is_file()
