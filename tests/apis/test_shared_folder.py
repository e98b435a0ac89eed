"""A model as one folder: written, read elsewhere, and what is refused."""
from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard
from mmengine.config import Config

from addp_mm.apis import ADDPInferencer
from addp_mm.apis.shared_folder import check_types
from addp_mm.checkpoints.weight_files import save_weights
from tests.helpers.hub_server import hub_server
from tests.helpers.tiny import build_model, tiny_addp_cfg, tiny_mage_training_cfg

SAMPLER = dict(num_steps=3, schedule='linear')


@pytest.fixture(scope='module')
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A folder, and images of the model in it, whose own files are gone."""
    root = tmp_path_factory.mktemp('saved')
    cfg = tiny_addp_cfg(root, sampler=SAMPLER, backbone=dict(init_cfg=dict(
        type='Pretrained', checkpoint='/home/me/secret.pth')))
    save_weights(build_model({**cfg, 'backbone': {**cfg['backbone'], 'init_cfg': None}}
                             ).state_dict(), root / 'addp.pth')
    inferencer = ADDPInferencer(Config(dict(model=cfg)), root / 'addp.pth', 'cpu')
    inferencer.save_pretrained(root / 'out', model_card_kwargs=dict(license='mit'))
    images = inferencer.generate(2, seed=1)
    for file in root.glob('*.pth'):
        file.unlink()
    return root / 'out', images


@pytest.fixture
def folder(saved: tuple[Path, np.ndarray], tmp_path: Path) -> Iterator[Path]:
    """A copy that may be broken."""
    yield shutil.copytree(saved[0], tmp_path / 'copy')


def test_what_is_in_it(saved: tuple[Path, np.ndarray]) -> None:
    names = sorted(path.name for path in saved[0].iterdir())
    assert names == ['README.md', 'config.json', 'model.safetensors', 'token_predictor.safetensors',
                     'tokenizer.safetensors']
    text = (saved[0] / 'config.json').read_text()
    assert 'secret' not in text and str(saved[0].parent) not in text
    assert ModelCard.load(saved[0] / 'README.md').data.license == 'mit'


def test_there_and_back(folder: Path, saved: tuple[Path, np.ndarray]) -> None:
    for found in (ADDPInferencer.from_pretrained(folder, device='cpu'),
                  ADDPInferencer(str(folder), device='cpu')):
        assert found.networks.sampler == SAMPLER
        assert np.array_equal(found.generate(2, seed=1), saved[1])
    found.save_pretrained(folder)
    assert np.array_equal(ADDPInferencer(folder, device='cpu').generate(2, seed=1), saved[1])


def test_a_token_predictor(tmp_path: Path) -> None:
    cfg = Config(dict(model=tiny_mage_training_cfg(tmp_path)))
    save_weights(build_model(cfg.model.to_dict()).state_dict(), tmp_path / 'mage.pth')
    inferencer = ADDPInferencer(cfg, tmp_path / 'mage.pth', 'cpu')
    inferencer.save_pretrained(tmp_path / 'out')
    found = ADDPInferencer.from_pretrained(tmp_path / 'out', device='cpu')
    assert np.array_equal(found.generate(1), inferencer.generate(1))


@pytest.mark.parametrize('spoil, message', [
    (lambda f: (f / 'config.json').write_text('{"model_type": "bert"}'), 'is no folder of addp_mm'),
    (lambda f: (f / 'config.json').write_text('?'), 'expected the config.json that save_'),
    (lambda f: (f / 'config.json').unlink(), 'but the folder holds README.md, model.safetensors'),
    (lambda f: (f / 'tokenizer.safetensors').unlink(), 'lacks tokenizer.safetensors'),
    (lambda f: (f / 'tokenizer.safetensors').write_bytes(b'?'), 'not the file that was published'),
])
def test_a_folder_that_is_not_ours(folder: Path, spoil, message: str) -> None:
    spoil(folder)
    with pytest.raises(ValueError, match=message):
        ADDPInferencer(folder, device='cpu')


@pytest.mark.parametrize('kind', ['os.system', 'torch.os.system', 'antigravity', 3])
def test_a_config_runs_nothing(folder: Path, kind: object) -> None:
    record = json.loads((folder / 'config.json').read_text())
    record['algorithm']['neck'] = dict(type=kind, command='false')
    (folder / 'config.json').write_text(json.dumps(record))
    with pytest.raises(ValueError, match='no registered class'):
        ADDPInferencer(folder, device='cpu')
    check_types([dict(type='ADDP', a=(dict(type='addp_mm.ADDPViT'), )),
                 dict(type='timm.layers.LayerNorm2d')], folder)


def test_nothing_of_others_is_replaced(folder: Path) -> None:
    inferencer = ADDPInferencer(folder, device='cpu')
    (folder / 'config.json').write_text('{"model_type": "bert"}')
    with pytest.raises(ValueError, match='holds other files'):
        inferencer.save_pretrained(folder)
    assert (folder / 'config.json').read_text() == '{"model_type": "bert"}'


def test_a_repository_on_the_hub(folder: Path, saved: tuple[Path, np.ndarray],
                                 monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with hub_server(folder, monkeypatch) as server:
        found = ADDPInferencer.from_pretrained('me/addp', cache_dir=tmp_path / 'hub', device='cpu')
        assert ('GET', 'tokenizer.safetensors', None) in server.requests
    assert np.array_equal(found.generate(2, seed=1), saved[1])
    again = ADDPInferencer.from_pretrained('me/addp', cache_dir=tmp_path / 'hub', device='cpu',
                                           local_files_only=True)
    assert np.array_equal(again.generate(2, seed=1), saved[1])


def test_a_model_without_config(tmp_path: Path) -> None:
    inferencer = ADDPInferencer(build_model(tiny_addp_cfg(tmp_path)), device='cpu')
    with pytest.raises(ValueError, match='has no config to save'):
        inferencer.save_pretrained(tmp_path / 'out')
