"""A test or a training takes no checkpoint that is not its model's."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.runner import FlexibleRunner, Runner
from torch import Tensor, nn

from addp_mm.checkpoints.fit import names_that_fit
from addp_mm.engine.hooks import CheckpointFitHook
from addp_mm.models.addp import ADDPViT
from tests.helpers.tiny import save_tiny_weights, tiny_tokenizer_cfg

ARCH = dict(embed_dims=8, num_layers=1, num_heads=2, feedforward_channels=8)


class TwoParts(BaseModel):
    """An encoder and a head."""

    def __init__(self, depth: int = 2, num_classes: int = 3) -> None:
        super().__init__()
        self.backbone = nn.Sequential(*[nn.Linear(2, 2) for _ in range(depth)])
        self.head = nn.Linear(2, num_classes)

    def forward(self, inputs: Tensor, mode: str = 'tensor') -> object:
        outputs = self.head(self.backbone(inputs))
        return dict(loss=outputs.square().mean()) if mode == 'loss' else [outputs]


class Encoding(BaseModel):
    """An encoder that may be frozen, and a head."""

    def __init__(self, checkpoint: str | None = None, std: float = 2., **kwargs) -> None:
        super().__init__(dict(type='ImgDataPreprocessor', mean=[1.] * 3, std=[std] * 3))
        init_cfg = dict(type='Pretrained', checkpoint=checkpoint) if checkpoint else None
        self.backbone = ADDPViT(arch=ARCH, img_size=8, patch_size=8, init_cfg=init_cfg, **kwargs)
        self.head = nn.Linear(8, 1)

    def forward(self, inputs: Tensor, data_samples: None = None, mode: str = 'tensor') -> object:
        outputs = self.head(self.backbone(inputs)[0].mean((2, 3)))
        return dict(loss=outputs.square().mean()) if mode == 'loss' else [outputs]


def runner_of(tmp_path: Path, load_from: Path | None, phase: str, cfg: Config | None = None,
              model: BaseModel | None = None) -> Runner:
    inputs = torch.ones(2) if model is None else torch.ones(3, 8, 8)
    loader = dict(dataset=[dict(inputs=inputs)], batch_size=1,
                  collate_fn=dict(type='default_collate'), sampler=dict(type='DefaultSampler'))
    phases = dict(train=dict(train_dataloader=loader, train_cfg=dict(by_epoch=True, max_epochs=1),
                             optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.))),
                  test=dict(test_dataloader=loader, test_cfg={}, test_evaluator=[]))
    runner = Runner(model or TwoParts(), work_dir=str(tmp_path),
                    load_from=str(load_from) if load_from else None,
                    experiment_name=f'{tmp_path.name}_{phase}', log_level='ERROR', cfg=cfg,
                    **phases[phase])
    runner.register_hook(CheckpointFitHook(), priority='LOWEST')
    return runner


@pytest.mark.parametrize('names', ['{}', 'module.{}', '_orig_mod.{}', 'module._orig_mod.{}'])
@pytest.mark.parametrize('outer', ['state_dict', 'model', None])
@pytest.mark.parametrize('phase', ['train', 'test'])
def test_a_checkpoint_that_fits(tmp_path: Path, phase: str, outer: str | None, names: str) -> None:
    trained = TwoParts()
    weights = {names.format(k): v for k, v in trained.state_dict().items()}
    if names == '{}':
        weights = {k: v.numpy() for k, v in weights.items()}
    torch.save({outer: weights} if outer else weights, tmp_path / 'a.pth')
    runner = runner_of(tmp_path, tmp_path / 'a.pth', phase)
    getattr(runner, phase)()
    assert torch.equal(runner.model.head.weight, trained.head.weight)


@pytest.mark.parametrize('phase, model, message', [
    ('test', TwoParts(num_classes=5), 'of other sizes .*head'),
    ('test', TwoParts(depth=1), r'another model .*backbone\.1'),
    ('test', TwoParts(depth=3), r'another model .*backbone\.2'),
    ('test', nn.Linear(2, 2), 'another model .* 0 of 6 tensors fit'),
    ('train', TwoParts(depth=1), r'does not fit .*backbone\.1'),
    ('train', nn.Linear(2, 2), 'does not fit the TwoParts: 0 of 6 tensors fit'),
])
def test_one_that_does_not_fit(tmp_path: Path, phase: str, model: nn.Module, message: str) -> None:
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=message):
        getattr(runner_of(tmp_path, tmp_path / 'a.pth', phase), phase)()


@pytest.mark.parametrize('phase, now, is_said', [
    ('test', 8, True), ('test', 4, False), ('train', 8, False)])
def test_other_settings_of_the_same_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                          phase: str, now: int, is_said: bool) -> None:
    cfgs = [Config(dict(model=dict(type='TwoParts', num_heads=heads))) for heads in (4, now)]
    torch.save(dict(state_dict=TwoParts().state_dict(), meta=dict(cfg=cfgs[0].pretty_text)),
               tmp_path / 'a.pth')
    runner = runner_of(tmp_path, tmp_path / 'a.pth', phase, cfgs[1])
    said: list[str] = []
    monkeypatch.setattr(runner.logger, 'warning', lambda text, *args: said.append(text))
    getattr(runner, phase)()
    assert any('a.pth was trained with model.num_heads 4, now 8' in text
               for text in said) == is_said


@pytest.mark.parametrize('phase, starts, frozen, is_said', [
    ('test', False, -1, True), ('train', False, 1, True), ('train', True, 1, True),
    ('train', False, -1, False), ('train', True, -1, False)])
def test_a_frozen_encoder_with_another_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                             phase: str, starts: bool, frozen: int,
                                             is_said: bool) -> None:
    path = tmp_path / 'a.pth'
    cfg = Config(dict(model=dict(type='ADDP', backbone=dict(), data_preprocessor=dict(
        mean=[1.] * 3, std=[1.] * 3))))
    torch.save(dict(state_dict=Encoding().state_dict(), meta=dict(cfg=cfg.pretty_text)), path)
    model = Encoding(str(path) if starts else None, frozen_stages=frozen)
    runner = runner_of(tmp_path, None if starts else path, phase, model=model)
    said: list[str] = []
    monkeypatch.setattr(runner.logger, 'warning', lambda text, *args: said.append(text))
    getattr(runner, phase)()
    assert [text for text in said if 'a.pth was trained with std [1.0, 1.0, 1.0], now [2.0,' in
            text] == said[:is_said]


def test_an_encoder_that_learns_from_images_on_another_scale(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'a.pth'
    cfg = Config(dict(model=dict(type='ADDP', backbone=dict(), data_preprocessor=dict(
        type='ADDPDataPreprocessor'))))
    torch.save(dict(state_dict=Encoding().state_dict(), meta=dict(cfg=cfg.pretty_text)), path)
    runner = runner_of(tmp_path, None, 'train', model=Encoding(str(path), std=1.))
    said: list[str] = []
    monkeypatch.setattr(runner.logger, 'warning', lambda text, *args: said.append(text))
    runner.train()
    assert 'std [58.395, 57.12, 57.375], now [1.0, 1.0, 1.0]' in said[0]


@pytest.mark.parametrize('phase', ['train', 'test'])
@pytest.mark.parametrize('mean', [[1.] * 3, [0.] * 3])
def test_an_encoder_of_tokens_undoes_what_the_preprocessor_does(
        tmp_path: Path, phase: str, mean: list[float]) -> None:
    model = Encoding()
    model.backbone = ADDPViT(arch=ARCH, img_size=32, tokenizer=dict(
        model=tiny_tokenizer_cfg(), checkpoint=save_tiny_weights(tmp_path)['tokenizer']),
                             patch_cfg=dict(mean=mean, std=[2.] * 3))
    runner = runner_of(tmp_path, None, phase, model=model)
    if mean == [1.] * 3:
        runner.call_hook(f'before_{phase}')
        return
    with pytest.raises(ValueError, match=r'normalises with mean=\[1.0, 1.0, 1.0\], .*patch_cfg'):
        runner.call_hook(f'before_{phase}')


@pytest.mark.parametrize('depth', [1, 3])
def test_a_flexible_runner_takes_none_that_does_not_fit(tmp_path: Path, depth: int) -> None:
    torch.save(dict(state_dict=TwoParts(depth).state_dict()), tmp_path / 'a.pth')
    loader = dict(dataset=[dict(inputs=torch.ones(2))], batch_size=1,
                  collate_fn=dict(type='default_collate'), sampler=dict(type='DefaultSampler'))
    runner = FlexibleRunner(
        TwoParts(), work_dir=str(tmp_path), load_from=str(tmp_path / 'a.pth'), env_cfg={},
        launcher='none', experiment_name=f'flexible{depth}', test_dataloader=loader, test_cfg={},
        test_evaluator=[], custom_hooks=[dict(type='mmpretrain.CheckpointFitHook')])
    with pytest.raises(ValueError, match=r'another model .*backbone\.'):
        runner.test()


def test_names_and_sizes_tell_what_fits() -> None:
    fit = names_that_fit(TwoParts(), TwoParts(depth=1, num_classes=5).state_dict())
    assert fit.missing == ('backbone.1.weight', 'backbone.1.bias') and not fit.left_over
    assert fit.other_sizes == ('head.weight', 'head.bias') and '(5, 2) in the file' in str(
        fit.mismatches)


def test_a_head_of_other_classes_starts_anew(tmp_path: Path) -> None:
    trained = TwoParts(num_classes=5)
    torch.save(dict(state_dict=trained.state_dict()), tmp_path / 'a.pth')
    runner = runner_of(tmp_path, tmp_path / 'a.pth', 'train')
    runner.train()
    assert torch.equal(runner.model.backbone[1].weight, trained.backbone[1].weight)
