"""mmengine reads checkpoints without running what is in them, and otherwise as it always does."""
from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import mmengine.runner.checkpoint as mmengine_checkpoint
import pytest
import torch
from mmengine.fileio import LocalBackend
from mmengine.model import BaseModule
from mmengine.registry import PARAM_SCHEDULERS
from mmengine.runner import load_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from addp_mm import engine  # noqa: F401  (replaces mmengine's loader)
from addp_mm.checkpoints.mmengine_loader import STOCK_VARIABLE, download_for_mmengine
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


@pytest.fixture
def hostile(tmp_path: Path) -> tuple[Path, Path]:
    """A file that makes a folder when it is run, and the folder."""
    torch.save(dict(state_dict={}, extra=_Payload(tmp_path / 'trap')), tmp_path / 'bad.pth')
    return tmp_path / 'bad.pth', tmp_path / 'trap'


@pytest.mark.parametrize('name', ['{}', 'torchvision://resnet18', 'modelzoo://resnet18',
                                  'open-mmlab://some', 'openmmlab://some', 'mmcls://some',
                                  's3://bucket/bad.pth', 'petrel://bucket/bad.pth', 'pavi://bad'])
def test_every_scheme_that_ends_in_a_pickle(hostile: tuple, monkeypatch: pytest.MonkeyPatch,
                                            name: str) -> None:
    file, trap = hostile
    urls = dict(resnet18=file.as_uri(), some=file.as_uri())
    monkeypatch.setenv('TORCH_HOME', str(file.parent / 'hub'))
    monkeypatch.setattr(mmengine_checkpoint, 'get_torchvision_models', lambda: urls)
    monkeypatch.setattr(mmengine_checkpoint, 'get_external_models', lambda: dict(some=str(file)))
    monkeypatch.setattr(mmengine_checkpoint, 'get_mmcls_models', lambda: urls)

    class Bucket(LocalBackend):
        """Has one file."""

        def get(self, filepath: str) -> bytes:
            return file.read_bytes()

    class Cloud:
        """Has one file."""

        name = 'bad.pth'

        def get(self, _: str) -> Cloud:
            return self

        def download(self, target: str) -> None:
            Path(target).write_bytes(file.read_bytes())

    monkeypatch.setattr(mmengine_checkpoint, 'get_file_backend', lambda *_, **__: Bucket())
    monkeypatch.setitem(sys.modules, 'pavi', type(sys)('pavi'))
    sys.modules['pavi'].modelcloud = Cloud()
    with pytest.raises(ValueError, match='any program'):
        CheckpointLoader.load_checkpoint(name.format(file))
    assert not trap.exists()


@pytest.mark.parametrize('scheme, name', [
    ('weights.pth', 'load_from_local'), ('http://a/b.pth', 'load_from_http'),
    ('torchvision://resnet18', 'load_from_torchvision'), ('mmcls://a', 'load_from_mmcls'),
    ('open-mmlab://a', 'load_from_openmmlab'), ('s3://a', 'load_from_ceph')])
def test_the_loaders_stay_those_of_mmengine(scheme: str, name: str) -> None:
    loader = CheckpointLoader._get_checkpoint_loader(scheme)
    assert loader is getattr(mmengine_checkpoint, name) and loader.__name__ == name


@pytest.mark.slow
def test_a_checkpoint_may_be_saved_where_it_was_read(tmp_path: Path) -> None:
    file = str(tmp_path / 'a.pth')
    torch.save(dict(state_dict=dict(a=torch.arange(1e6)), meta=dict(epoch=1)), file)
    # Were the file mapped, the process would die of SIGBUS and leave it empty.
    code = ('import sys, torch, addp_mm\n'
            'from mmengine.runner.checkpoint import CheckpointLoader\n'
            'c = CheckpointLoader.load_checkpoint(sys.argv[1], logger="silent")\n'
            'c["meta"]["epoch"] = 2\n'
            'torch.save(c, sys.argv[1])\n')
    subprocess.run([sys.executable, '-c', code, file], check=True, stdout=subprocess.DEVNULL)
    content = torch.load(file)
    assert content['meta']['epoch'] == 2 and torch.equal(content['state_dict']['a'],
                                                         torch.arange(1e6))


@pytest.mark.parametrize('map_location', [
    None, 'cpu', torch.device('cpu'), {'cpu': 'cpu'}, lambda storage, location: storage,
    lambda storage, location: None])
@pytest.mark.parametrize('name', ['a.pth', 'a.safetensors'])
def test_every_map_location(tmp_path: Path, map_location: object, name: str) -> None:
    save_weights({'a': torch.ones(2)}, tmp_path / name)
    content = CheckpointLoader.load_checkpoint(str(tmp_path / name), map_location, 'silent')
    assert content['state_dict']['a'].tolist() == [1, 1]


@pytest.mark.parametrize('map_location', ['meta', torch.device('meta'), {'cpu': 'meta'}])
@pytest.mark.parametrize('name', ['a.pth', 'a.safetensors'])
def test_tensors_go_where_map_location_says(tmp_path: Path, map_location: object,
                                            name: str) -> None:
    save_weights({'a': torch.ones(2)}, tmp_path / name)
    content = CheckpointLoader.load_checkpoint(str(tmp_path / name), map_location, 'silent')
    assert content['state_dict']['a'].is_meta


def test_a_function_sees_where_each_tensor_was(tmp_path: Path) -> None:
    torch.save([torch.ones(2), torch.ones(3), torch.ones(3).double()], tmp_path / 'a.pth')
    seen = []

    def note(storage: torch.UntypedStorage, location: str) -> torch.UntypedStorage:
        seen.append((storage.nbytes(), location))
        return storage

    CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'), note, 'silent')
    assert seen == [(8, 'cpu'), (12, 'cpu'), (24, 'cpu')]


@pytest.mark.parametrize('cfg', [
    dict(type='OneCycleLR', eta_max=0.1, total_steps=9),
    dict(type='OneCycleLR', eta_max=0.1, total_steps=9, anneal_strategy='linear'),
    dict(type='ReduceOnPlateauLR', monitor='loss'),
    dict(type='CosineRestartLR', periods=[9], eta_min=0.),
    dict(type='CosineAnnealingMomentum', T_max=9, eta_min=0.),
], ids=lambda cfg: f'{cfg["type"]} {cfg.get("anneal_strategy", "")}')
def test_schedules_go_on_from_their_checkpoint(tmp_path: Path, cfg: dict) -> None:
    def build() -> object:
        optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1, momentum=0.9)
        return PARAM_SCHEDULERS.build(cfg | dict(optimizer=optimizer))

    def step(scheduler: object) -> list[float]:
        scheduler.optimizer.step()
        scheduler.step(*([dict(loss=1.)] if 'monitor' in cfg else []))
        return [group['lr'] for group in scheduler.optimizer.param_groups]

    first, again = build(), build()
    step(first)
    torch.save(dict(state_dict={}, param_schedulers=[first.state_dict()]), tmp_path / 'a.pth')
    content = CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'), 'cpu', 'silent')
    again.load_state_dict(content['param_schedulers'][0])
    again.optimizer.load_state_dict(first.optimizer.state_dict())
    assert [step(again) for _ in range(3)] == [step(first) for _ in range(3)]


@pytest.mark.slow
def test_one_switch_leaves_mmengine_as_it_is(hostile: tuple) -> None:
    """Whether mmengine runs what is in a file depends on its version."""
    file, trap = hostile

    def outcome(imports: str, value: str) -> tuple[int, bool, list[str]]:
        code = (f'import sys{imports}; import torch; old = torch.load; '
                'from mmengine.runner.checkpoint import load_from_local as f; '
                'torch.load = lambda *a, **k: (print("options", sorted(k)), old(*a, **k))[1]; '
                'f(*sys.argv[1:])')
        done = subprocess.run([sys.executable, '-c', code, str(file), 'cpu'], capture_output=True,
                              text=True, env=os.environ | {STOCK_VARIABLE: value}, check=False)
        ran = trap.exists()
        if ran:
            trap.rmdir()
        return done.returncode, ran, done.stdout.splitlines()[-1:]

    theirs = outcome('', '0')
    assert theirs[2] and outcome(', addp_mm', '1') == theirs


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


def test_a_hash_is_compared_where_the_name_has_one(tmp_path: Path) -> None:
    weights = dict(weight=torch.ones(2))
    for name in ('plain.pth', 'hashed-0123abcd.pth'):
        torch.save(weights, tmp_path / name)
    plain, hashed = (tmp_path / name for name in ('plain.pth', 'hashed-0123abcd.pth'))
    read = download_for_mmengine(plain.as_uri(), str(tmp_path / 'hub'), check_hash=True)
    assert torch.equal(read['weight'], weights['weight'])
    with pytest.raises(RuntimeError, match='0123abcd'):
        download_for_mmengine(hashed.as_uri(), str(tmp_path / 'hub'), check_hash=True)
