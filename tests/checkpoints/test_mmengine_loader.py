"""mmengine reads checkpoints without running what is in them."""
from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import torch
from mmengine.model import BaseModule
from mmengine.runner import load_checkpoint
from torch import nn

from addp_mm import engine  # noqa: F401  (replaces mmengine's loader)
from addp_mm.checkpoints.weight_files import TRUST_VARIABLE, save_weights


class _Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple:
        return (Path.mkdir, (self.folder, ))


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trap, file = tmp_path / 'trap', str(tmp_path / 'checkpoint.pth')
    torch.save(dict(state_dict=nn.Linear(2, 2).state_dict(), extra=_Payload(trap)), file)
    with pytest.raises(ValueError, match=f'any program.*{TRUST_VARIABLE}=1'):
        load_checkpoint(nn.Linear(2, 2), file)
    assert not trap.exists()
    monkeypatch.setenv(TRUST_VARIABLE, '1')
    load_checkpoint(nn.Linear(2, 2), file)
    assert trap.exists()


class _Owner(BaseModule):

    def __init__(self, init_cfg: dict) -> None:
        super().__init__(init_cfg)
        self.layer = nn.Linear(2, 2)


def test_init_cfg_reads_safetensors(tmp_path: Path) -> None:
    file = tmp_path / 'weights.safetensors'
    weights = {f'backbone.layer.{k}': v for k, v in nn.Linear(2, 2).state_dict().items()}
    save_weights(weights, file)
    model = _Owner(dict(type='Pretrained', checkpoint=str(file), prefix='backbone.'))
    model.init_weights()
    assert torch.equal(model.layer.weight, weights['backbone.layer.weight'])


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server of ``tmp_path``; torch's hub keeps its files there too."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'hub_home'))
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as httpd:
        Thread(target=httpd.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{httpd.server_port}'
        httpd.shutdown()


def test_urls_are_read_safely_and_fetched_once(tmp_path: Path, server: str) -> None:
    trap = tmp_path / 'trap'
    torch.save(dict(state_dict=nn.Linear(2, 2).state_dict(), extra=_Payload(trap)),
               tmp_path / 'bad.pth')
    with pytest.raises(ValueError, match='any program'):
        load_checkpoint(nn.Linear(2, 2), f'{server}/bad.pth')
    assert not trap.exists()
    layers = [nn.Linear(2, 2) for _ in range(2)]
    for i, layer in enumerate(layers):                       # one name in two places
        save_weights(layer.state_dict(), tmp_path / str(i) / 'weights.safetensors')
    for i, layer in enumerate(layers):
        loaded = nn.Linear(2, 2)
        load_checkpoint(loaded, f'{server}/{i}/weights.safetensors')
        assert torch.equal(loaded.weight, layer.weight)
    (tmp_path / '0' / 'weights.safetensors').unlink()
    load_checkpoint(nn.Linear(2, 2), f'{server}/0/weights.safetensors')
