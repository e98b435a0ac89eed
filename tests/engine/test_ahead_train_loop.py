"""AheadTrainLoop: the losses of the plain loop, with the next batch prepared before each step."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner

from tests.helpers.tiny import tiny_addp_cfg
from tests.helpers.tiny_training import losses_of, make_config, write_images


@pytest.fixture
def configs(tmp_path: Path) -> Callable[..., dict]:
    """Makes the arguments of a runner: 2 epochs of 4 batches, dropout everywhere, bfloat16."""
    images = write_images(tmp_path / 'images')

    def make(name: str, loop: str, **changes) -> dict:
        cfg = make_config(tmp_path / name, images)
        cfg['model'] = tiny_addp_cfg(
            tmp_path, data_preprocessor=dict(token_predictor=dict(dropout=True)))
        cfg['train_dataloader']['dataset']['pipeline'][2]['scale'] = 32
        cfg['train_cfg'] = dict(type=loop, max_epochs=2)
        cfg['optim_wrapper']['cpu_dtype'] = 'bfloat16'
        return cfg | changes

    return make


def test_losses_are_those_of_the_plain_loop(configs: Callable):
    plain = losses_of(configs('plain', 'EpochBasedTrainLoop'))
    ahead = losses_of(configs('ahead', 'AheadTrainLoop'))
    assert len(set(plain.values())) == 8
    assert ahead == plain


def test_a_resumed_run_repeats_the_uninterrupted_one(configs: Callable):
    whole = losses_of(configs('whole', 'AheadTrainLoop'))
    first = losses_of(configs('cut', 'AheadTrainLoop'), stop_at=5)
    torch.manual_seed(99)
    second = losses_of(configs('cut', 'AheadTrainLoop', resume=True))
    assert list(second) == [4, 5, 6, 7]
    assert {**first, **second} == whole


def test_the_next_batch_is_prepared_before_a_step(configs: Callable):
    runner = Runner(**configs('order', 'AheadTrainLoop'))
    preprocessor, events = runner.model.data_preprocessor, []
    tokenize, step = preprocessor.tokenize, runner.model.train_step
    preprocessor.tokenize = lambda *args: (events.append('prepare'), tokenize(*args))[1]
    runner.model.train_step = lambda *args, **kwargs: (
        events.append('step'), step(*args, **kwargs))[1]
    runner.train()
    epoch = ['prepare', *['prepare', 'step'] * 3, 'step']
    assert events == epoch * 2, 'each batch once, one ahead, none over the end of an epoch'


def test_without_seeds_no_draw_is_made_twice(configs: Callable):
    cfg = configs('unseeded', 'AheadTrainLoop', custom_hooks=[dict(type='RecordLosses')])
    runner = Runner(**cfg)
    diffusion, ratios = runner.model.data_preprocessor.diffusion, []
    sample = diffusion.mask_ratio.sample

    def note() -> tuple[float, float]:
        ratios.append(sample())
        return ratios[-1]

    diffusion.mask_ratio.sample = note
    runner.train()
    assert len(set(ratios)) == 8


@pytest.mark.gpu
def test_losses_on_a_gpu_are_those_of_the_plain_loop(configs: Callable, gpu: torch.device):
    plain = losses_of(configs('plain', 'EpochBasedTrainLoop'))
    ahead = losses_of(configs('ahead', 'AheadTrainLoop'))
    assert ahead == pytest.approx(plain, rel=1e-2), 'but for the order of atomic sums'
