from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from PIL import Image
from torch.autograd.graph import saved_tensors_hooks

from addp_mm.own_images import configs as stage_configs
from addp_mm.own_images.configs import choose_preset, stage_config, starting_configs
from addp_mm.own_images.images import ImageSet, prepare_images
from addp_mm.own_images.length import (
    batches_per_epoch,
    measure_seconds_per_iter,
    seconds_per_iter,
    set_length,
)
from addp_mm.own_images.presets import PRESETS, MemoryNeed, memory_at_hand, memory_need
from addp_mm.own_images.trainings import StageError
from addp_mm.registry import MODELS


@pytest.fixture(scope='module')
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    """Twelve images, of which one is held out."""
    folder = tmp_path_factory.mktemp('images')
    generator = np.random.default_rng(0)
    for i in range(12):
        pixels = generator.integers(0, 256, (24, 24, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f'{i:02d}.png')
    return prepare_images(folder, tmp_path_factory.mktemp('out'), 16, lambda line: None)


@pytest.fixture(scope='module')
def cfgs() -> dict[str, Config]:
    return starting_configs(PRESETS['small'], 16)


@pytest.mark.parametrize('name', list(PRESETS))
def test_the_stages_of_each_preset_fit_each_other(name: str):
    cfgs = starting_configs(PRESETS[name], 512 if name != 'small' else 64)
    init_default_scope('mmpretrain')
    with torch.device('meta'):
        models = {stage: MODELS.build(cfg.model) for stage, cfg in cfgs.items()}
    tokenizer = models['vqgan'].tokenizer
    for stage in ('mage', 'addp'):
        preprocessor = models[stage].data_preprocessor
        assert preprocessor.num_codes == tokenizer.num_codes
        assert preprocessor.grid_size == tokenizer.grid_size
    wanted = models['mage'].token_predictor.state_dict()
    frozen = models['addp'].data_preprocessor.token_predictor.description.state_dict()
    assert {k: v.shape for k, v in wanted.items()} == {k: v.shape for k, v in frozen.items()}


def test_a_size_that_the_stride_does_not_divide_is_refused():
    with pytest.raises(ValueError, match='stride 8'):
        starting_configs(PRESETS['small'], 60)


def test_memory_follows_the_values_that_autograd_keeps(cfgs: dict[str, Config]):
    """The constants of the rule, against a count."""
    init_default_scope('mmpretrain')
    tokenizer = MODELS.build(cfgs['vqgan'].model.tokenizer)
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor, torch.nn.Parameter):
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        output = tokenizer.decode(tokenizer.encoder(torch.rand(1, 3, 16, 16)))
    counted = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    assert output.requires_grad
    assert memory_need(cfgs['vqgan']).per_image == pytest.approx(counted, rel=0.1)


def test_the_batch_is_halved_until_it_fits():
    need = MemoryNeed(fixed=6e9, per_image=0.5e9)
    assert need.at(16) == 14e9
    assert need.largest_batch(20e9 + 1, max_batch=64) == 16
    assert need.largest_batch(20e9 - 1, max_batch=64) == 8
    assert need.largest_batch(8e9, max_batch=64) == 0


def test_memory_at_hand_is_that_of_this_machine():
    memory, device = memory_at_hand()
    assert 1e8 < memory < 1e13
    assert (device == 'CPU') == (not torch.cuda.is_available())


@pytest.mark.parametrize(('memory', 'device', 'expected'), [
    (8e9, 'CPU', 'small'), (24e9, 'a GPU', 'base'), (80e9, 'a GPU', 'large')])
def test_the_largest_preset_that_fits_is_taken(monkeypatch: pytest.MonkeyPatch, memory: float,
                                               device: str, expected: str):
    monkeypatch.setattr(stage_configs, 'memory_at_hand', lambda: (memory, device))
    name, batches, sentence = choose_preset(None, None)
    assert name == expected
    assert min(batches.values()) >= PRESETS[expected].min_batch
    assert f'{memory / 1e9:.1f} GB' in sentence


def test_too_little_memory_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stage_configs, 'memory_at_hand', lambda: (1e9, 'CPU'))
    with pytest.raises(ValueError, match='1.0 GB of free memory .* not enough for preset small'):
        choose_preset(None, None)
    with pytest.raises(ValueError, match="preset must be one of .* got 'huge'"):
        choose_preset('huge', None)


def test_a_config_is_complete_and_trains(images: ImageSet, tmp_path: Path):
    cfg = stage_config('vqgan', PRESETS['small'], images, 8, tmp_path)
    assert batches_per_epoch(cfg) == 26  # 11 images, 19 times
    assert cfg.val_dataloader.batch_size == 1
    assert seconds_per_iter(cfg) > 0
    set_length(cfg, seconds=0.5, minutes=10)
    stage_configs.write_config(cfg, tmp_path / 'configs' / 'vqgan.py')
    read = Config.fromfile(tmp_path / 'configs' / 'vqgan.py')
    assert read.to_dict() == cfg.to_dict()
    assert read.work_dir == str(tmp_path / 'vqgan')
    assert '_base_' not in (tmp_path / 'configs' / 'vqgan.py').read_text()


@pytest.mark.slow
def test_an_iteration_is_measured_in_a_process_of_its_own(images: ImageSet, tmp_path: Path):
    cfg = stage_config('vqgan', PRESETS['small'], images, 2, tmp_path)
    stage_configs.write_config(cfg, tmp_path / 'good.py')
    assert 0 < measure_seconds_per_iter(tmp_path / 'good.py') < 60
    (tmp_path / 'bad.py').write_text('_base_ = "missing.py"')
    with pytest.raises(StageError, match='bad.py does not train. FileNotFoundError: .*missing'):
        measure_seconds_per_iter(tmp_path / 'bad.py')


def test_the_length_follows_from_time(images: ImageSet, tmp_path: Path):
    cfg = stage_config('vqgan', PRESETS['small'], images, 8, tmp_path)
    set_length(cfg, seconds=0.5, minutes=10)  # 0.85 x 590 s of 13 s epochs
    assert cfg.train_cfg.max_epochs == 38
    assert [scheduler.end for scheduler in cfg.param_scheduler] == [2, 38]
    assert cfg.default_hooks.checkpoint.interval == 3
    assert batches_per_epoch(cfg) == 26
    set_length(cfg, seconds=5., minutes=1)  # 0.85 x 50 s: 8 batches
    assert cfg.train_cfg.max_epochs == 2
    assert batches_per_epoch(cfg) == 4
    assert cfg.default_hooks.checkpoint.interval == 1
    set_length(cfg, seconds=5., minutes=0.1)
    assert (cfg.train_cfg.max_epochs, batches_per_epoch(cfg)) == (2, 1)


def test_images_that_are_not_repeated_are_all_used(images: ImageSet, tmp_path: Path,
                                                   monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stage_configs, 'MIN_BATCHES', 1)
    cfg = stage_config('vqgan', PRESETS['small'], images, 2, tmp_path)
    set_length(cfg, seconds=5., minutes=0.1)
    assert (cfg.train_cfg.max_epochs, batches_per_epoch(cfg)) == (2, 5)


def test_no_mirrored_images_where_they_are_unwanted(images: ImageSet, tmp_path: Path):
    for flip in (True, False):
        cfg = stage_config('addp', PRESETS['small'], images, 8, tmp_path, flip)
        pipeline = cfg.train_dataloader.dataset.dataset.pipeline
        assert ('RandomFlip' in [step.type for step in pipeline]) == flip


def test_a_discriminator_starts_after_a_share_of_the_training(images: ImageSet, tmp_path: Path):
    large = ImageSet(**{**vars(images), 'image_size': 32})
    cfg = stage_config('vqgan', PRESETS['base'], large, 4, tmp_path)
    set_length(cfg, seconds=1., minutes=60)
    iters = cfg.train_cfg.max_epochs * batches_per_epoch(cfg)
    assert cfg.model.adversarial_loss.start == iters // 4
    assert {cfg.optim_wrapper[name].optimizer.lr for name in ('tokenizer', 'discriminator')} == {
        PRESETS['base'].lr['vqgan']}
    assert cfg.model.perceptual_loss is None  # its weights are not on this machine


def test_a_config_of_the_user_is_kept(images: ImageSet, tmp_path: Path):
    path = tmp_path / 'configs' / 'vqgan.py'
    path.parent.mkdir()
    path.write_text('changed = True')
    written = stage_configs.write_missing_config(
        'vqgan', PRESETS['small'], images, 8, tmp_path, 1., lambda line: None)
    assert written == path
    assert path.read_text() == 'changed = True'


def test_a_copied_config_that_names_the_tokenizer_of_its_first_folder(images: ImageSet,
                                                                     tmp_path: Path):
    first, copied = tmp_path / 'first', tmp_path / 'copied'
    for out, weights in ((first, b'first'), (copied, b'other')):
        (out / 'configs').mkdir(parents=True)
        (out / 'vqgan').mkdir()
        (out / 'configs' / 'vqgan.py').write_text('train_cfg = dict(max_epochs=3)')
        (out / 'vqgan' / 'epoch_3.pth').write_bytes(weights)
    named = first / 'vqgan' / 'epoch_3.pth'
    (copied / 'configs' / 'mage.py').write_text(
        f'model = dict(data_preprocessor=dict(tokenizer=dict(checkpoint={str(named)!r})))')
    said: list[str] = []

    def write() -> None:
        stage_configs.write_missing_config('mage', PRESETS['small'], images, 8, copied, 1.,
                                           said.append)

    write()
    assert len(said) == 1 and f'names {named}, another tokenizer than {copied}' in said[0]
    named.write_bytes(b'other')     # as of a copy to which nothing was done
    write()
    named.unlink()                  # or of a folder that was moved
    write()
    assert len(said) == 1


@pytest.mark.parametrize('minutes, warns', [(0.1, True), (1000., False)])
def test_a_budget_that_cannot_be_kept_is_named(images: ImageSet, tmp_path: Path, minutes: float,
                                               warns: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stage_configs, 'measure_seconds_per_iter', lambda path: 2.)     # for speed
    said: list[str] = []
    stage_configs.write_missing_config('vqgan', PRESETS['small'], images, 8, tmp_path, minutes,
                                       said.append)
    warnings = [line for line in said if line.startswith('WARNING: tokenizer: even the shortest')]
    assert len(warnings) == warns


def test_the_memory_of_frozen_parts_counts():
    addp = starting_configs(PRESETS['base'], 256)['addp']
    larger = copy.deepcopy(addp)
    larger.model.data_preprocessor.token_predictor.model.arch = 'large'
    assert memory_need(larger).fixed - memory_need(addp).fixed > 4 * 200e6


def test_small_encoders_start_from_hidden_patches_and_those_of_the_papers_size_do_not():
    cfgs = starting_configs(PRESETS['small'], 32)
    init_default_scope('mmpretrain')
    autoencoder, encoder = (MODELS.build(cfg) for cfg in (
        cfgs['mae'].model, {**cfgs['addp'].model.backbone, 'img_size': 32}))
    start, wanted = (model.state_dict() for model in (autoencoder.backbone, encoder))
    assert {key: value.shape for key, value in start.items()} == {
        key: value.shape for key, value in wanted.items()}
    small = cfgs['addp'].model
    assert small.backbone.init_cfg.type == 'Pretrained'
    assert small.backbone.pre_norm is False
    assert (small.sampler.temperature, small.sampler.top_p) == (4, 1)
    assert small.backbone.drop_rate == small.neck.drop_rate == 0
    assert small.data_preprocessor.diffusion.per_image
    base = starting_configs(PRESETS['base'], 256)
    assert 'mae' not in base and 'init_cfg' not in base['addp'].model.backbone


def test_the_encoder_learns_a_tenth_as_fast_from_weights_of_its_own():
    cfgs = starting_configs(PRESETS['small'], 16)
    init_default_scope('mmpretrain')
    model = MODELS.build(cfgs['addp'].model)
    groups = build_optim_wrapper(model, cfgs['addp'].optim_wrapper).optimizer.param_groups
    rates = {id(p): group['lr'] for group in groups for p in group['params']}
    encoder = {rates[id(p)] for p in model.backbone.parameters()}
    assert encoder == {0.1 * rates[id(p)] for p in model.neck.layers.parameters()}


@pytest.mark.parametrize('name', list(PRESETS))
def test_the_stages_of_a_preset_divide_the_time(name: str):
    preset = PRESETS[name]
    assert list(preset.shares) == list(preset.configs) == list(preset.lr) == list(preset.max_batch)
    assert sum(preset.shares.values()) == pytest.approx(1)
