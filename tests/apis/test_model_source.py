"""Models by name: a tiny ADDP, released on a server of this machine in the release's own layout."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from addp_mm.apis import ADDPInferencer
from addp_mm.apis.generate import build_inferencer
from addp_mm.apis.model_source import find_shipped, read_config
from addp_mm.checkpoints import load_encoder, releases
from addp_mm.checkpoints.converters import convert
from addp_mm.checkpoints.releases import Release
from addp_mm.checkpoints.weight_files import load_weights, save_weights, sha256_of
from addp_mm.registry import MODELS
from tests.helpers.hub_server import HubServer, hub_server
from tests.helpers.tiny import build_model, tiny_addp_cfg
from tests.helpers.tiny_training import make_recipe


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A server of two released files, and nothing else of them on this machine."""
    served = tmp_path / 'served'
    served.mkdir()
    cfg = tiny_addp_cfg(served)
    torch.manual_seed(0)
    weights = build_model(cfg).state_dict()
    save_weights(weights, tmp_path / 'ours.pth')
    torch.save(dict(model=convert(weights, 'reference').weights), served / 'addp-tiny.pth')
    for part in ('tokenizer', 'token_predictor'):
        cfg['data_preprocessor'][part]['checkpoint'] = 'nowhere.pth'
    Config(dict(model=cfg, default_scope='mmpretrain')).dump(tmp_path / 'addp.py')
    about = dict(hub='owner/repo', config=str(tmp_path / 'addp.py'), licence='MIT')
    monkeypatch.setattr(releases, 'RELEASES', (
        Release('addp_tiny_1e', 'tiny', 'addp-tiny.pth', 'reference', tokenizer='vq', **about),
        Release('vqgan_tiny', 'vq', 'tiny_tokenizer.pth', 'vqgan', **about)))
    monkeypatch.setenv('ADDP_RELEASES', str(tmp_path / 'releases'))
    with hub_server(served, monkeypatch) as running:
        yield running


def test_a_model_by_its_name(server: HubServer, tmp_path: Path) -> None:
    found = ADDPInferencer('addp_tiny_1e', device='cpu')
    own = build_inferencer(tmp_path / 'addp.py', tmp_path / 'ours.pth', 'cpu', cfg_options={
        'model.data_preprocessor.tokenizer.checkpoint': server.folder / 'tiny_tokenizer.pth'})
    images = found.generate(2, num_steps=3)
    assert np.array_equal(images, own.generate(2, num_steps=3)) and images.std() > 0
    assert found.weights == 'addp://tiny'
    assert sha256_of(found.weights) == sha256_of(server.folder / 'addp-tiny.pth')


def test_a_name_in_configs(server: HubServer, tmp_path: Path) -> None:
    wanted = load_weights(tmp_path / 'ours.pth')
    cfg = Config.fromfile(tmp_path / 'addp.py').model
    encoder = MODELS.build(dict(cfg.backbone, img_size=32, init_cfg=dict(
        type='Pretrained', checkpoint='addp://tiny', prefix='backbone.')))
    encoder.init_weights()
    assert all(torch.equal(tensor, wanted[f'backbone.{name}'])
               for name, tensor in encoder.state_dict().items())
    load_encoder(encoder, str(Path('addp://tiny')))     # a Path leaves one stroke of the two
    model = MODELS.build(dict(cfg, init_cfg=dict(type='Pretrained', checkpoint='addp://tiny')))
    model.data_preprocessor.tokenizer.checkpoint = 'addp://vq'
    model.data_preprocessor.token_predictor.checkpoint = server.folder / 'tiny_token_predictor.pth'
    model.init_weights()
    assert torch.equal(model.neck.mask_token, wanted['neck.mask_token'])


def test_start_values_of_a_training(server: HubServer, tmp_path: Path) -> None:
    cfg = make_recipe(find_shipped('configs/addp/vit-b_1600e.py'), tmp_path, **{
        'work_dir': str(tmp_path / 'work'), 'load_from': 'addp://tiny'})
    runner = Runner.from_cfg(cfg)
    runner.load_or_resume()
    wanted = load_weights(tmp_path / 'ours.pth')
    assert all(torch.equal(tensor, wanted[name])
               for name, tensor in runner.model.state_dict().items())


def test_own_weights_of_a_named_recipe(server: HubServer, tmp_path: Path) -> None:
    cfg, weights = read_config('tiny', tmp_path / 'ours.pth')
    assert weights == tmp_path / 'ours.pth'
    assert cfg.model.data_preprocessor.tokenizer.checkpoint == 'addp://vq'


def test_a_config_without_weights(server: HubServer, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='Expected a checkpoint behind the config'):
        build_inferencer(tmp_path / 'addp.py')
    with pytest.raises(ValueError, match='no released model \'addp_tin\'.*addp_tiny_1e'):
        build_inferencer('addp_tin')
