"""Models from configs and weight files: exactly, or with a message."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger

from addp_mm.apis.load_model import build_model
from addp_mm.checkpoints.weight_files import save_weights, sha256_of
from tests.helpers.tiny import build_model as build_tiny
from tests.helpers.tiny import tiny_addp_cfg, tiny_mage_training_cfg


@pytest.fixture
def cfg(tmp_path: Path) -> Config:
    return Config(dict(model=tiny_addp_cfg(tmp_path)))


@pytest.fixture
def weights(cfg: Config, tmp_path: Path) -> Path:
    save_weights(build_tiny(cfg.model.to_dict()).state_dict(), tmp_path / 'addp.pth')
    return tmp_path / 'addp.pth'


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(MMLogger, 'warning', lambda self, text: lines.append(text))
    return lines


def test_weights_are_loaded(cfg: Config, weights: Path, warnings: list[str]) -> None:
    saved = torch.load(weights)['state_dict']
    model = build_model(cfg, weights)
    assert model.state_dict().keys() == saved.keys() and not warnings
    assert all(torch.equal(v, saved[k]) for k, v in model.state_dict().items())


def test_a_built_model_is_taken_over(cfg: Config) -> None:
    model = build_tiny(cfg.model.to_dict())
    assert build_model(model) is model


def test_no_weights(cfg: Config, warnings: list[str]) -> None:
    model = build_model(cfg)
    assert model.neck.mask_token.abs().sum() > 0 and 'No weights are given' in warnings[0]


def test_a_config_without_model() -> None:
    with pytest.raises(ValueError, match='has no `model`'):
        build_model(Config(dict(data=1)))


@pytest.mark.parametrize('change, message', [
    (dict(neck=dict(depth=3)), r'12 tensors \(neck\.layers\.2\..* missing, 0 tensors left over'),
    (dict(neck=dict(depth=1)), r'0 tensors missing, 12 tensors \(neck\.layers\.1'),
    (dict(neck=dict(vocab_size=50)), r'of other sizes than the config has: size mismatch for '),
])
def test_weights_of_another_architecture(tmp_path: Path, weights: Path, change: dict,
                                         message: str) -> None:
    other = Config(dict(model=tiny_addp_cfg(tmp_path, **change)))
    with pytest.raises(ValueError, match=message):
        build_model(other, weights)


def test_weights_of_something_else(cfg: Config, tmp_path: Path) -> None:
    save_weights(dict(weight=torch.zeros(2)), tmp_path / 'other.pth')
    with pytest.raises(ValueError, match='another model than the ADDP of the config.* missing, '
                                         r'1 tensors \(weight\) left over.*convert_check'):
        build_model(cfg, tmp_path / 'other.pth')


def test_a_token_predictor_alone(tmp_path: Path) -> None:
    cfg = Config(dict(model=tiny_mage_training_cfg(tmp_path)))
    trained = build_tiny(cfg.model.to_dict())
    predictor = trained.token_predictor.state_dict()
    save_weights(predictor, tmp_path / 'mage.safetensors')
    save_weights(trained.state_dict(), tmp_path / 'epoch.pth')
    for name in ('mage.safetensors', 'epoch.pth'):
        loaded = build_model(cfg, tmp_path / name).token_predictor.state_dict()
        assert all(torch.equal(v, predictor[k]) for k, v in loaded.items())


def test_another_tokenizer_file(cfg: Config, tmp_path: Path, warnings: list[str]) -> None:
    model = build_tiny(cfg.model.to_dict())
    tokenizer = model.data_preprocessor.tokenizer.checkpoint
    name = 'data_preprocessor.tokenizer'
    for i, digest in enumerate((sha256_of(tokenizer), '0123')):
        meta = dict(frozen_weights={name: digest})
        torch.save(dict(state_dict=model.state_dict(), meta=meta), tmp_path / f'{i}.pth')
    build_model(cfg, tmp_path / '0.pth')
    assert not warnings
    build_model(cfg, tmp_path / '1.pth')
    assert 'another tokenizer file than' in warnings[0] and '0123' in warnings[0]


def test_other_settings_of_the_same_sizes(cfg: Config, tmp_path: Path,
                                          warnings: list[str]) -> None:
    model = build_tiny(cfg.model.to_dict())
    torch.save(dict(state_dict=model.state_dict(), meta=dict(cfg=cfg.pretty_text)),
               tmp_path / 'a.pth')
    build_model(cfg, tmp_path / 'a.pth')
    assert not warnings
    cfg.merge_from_dict({'model.data_preprocessor.diffusion': dict(
        type='DiffusionProcess', mapping='argmax')})
    build_model(cfg, tmp_path / 'a.pth')
    assert len(warnings) == 1 and "now 'argmax'" in warnings[0] and 'a.pth was' in warnings[0]


def test_weights_that_are_no_numbers_are_refused(cfg: Config, weights: Path) -> None:
    saved = torch.load(weights)['state_dict']
    saved['neck.mask_token'].fill_(float('nan'))
    save_weights(saved, weights, overwrite=True)
    with pytest.raises(ValueError, match=r'not finite, in 1 of .* \(neck.mask_token first\)'):
        build_model(cfg, weights)


def test_frozen_weights_that_are_no_numbers_are_refused(cfg: Config) -> None:
    path = Path(cfg.model.data_preprocessor.tokenizer.checkpoint)
    content = torch.load(path)
    tensors = content.get('state_dict', content)
    next(iter(tensors.values())).fill_(float('inf'))
    torch.save(content, path)
    with pytest.raises(ValueError, match='holds numbers that are not finite'):
        build_tiny(cfg.model.to_dict())
