"""SeedIterationHook: an interrupted run goes on as if nothing had happened."""
from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.runner import Runner

from addp_mm.engine.hooks import SeedIterationHook
from tests.helpers.tiny_training import hook_of, losses_of, make_config, write_images


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_images(tmp_path / 'images')


@pytest.mark.parametrize('randomness, num_workers', [
    (dict(seed=3), 0), (dict(seed=3, diff_rank_seed=True), 2), (dict(seed=None), 0)])
def test_resumed_losses_are_those_of_the_uninterrupted_run(tmp_path, images, randomness,
                                                           num_workers):
    config = make_config(tmp_path / 'whole', images)
    config['randomness'] = dict(randomness)
    config['train_dataloader'].update(num_workers=num_workers,
                                      persistent_workers=num_workers > 0)
    # Without a configured seed no other run is alike; the resumed one takes that of the first.
    whole = None if randomness['seed'] is None else losses_of(config)
    config.update(work_dir=str(tmp_path / 'cut'), experiment_name=f'cut{num_workers}',
                  randomness=dict(randomness), resume=True)
    first = losses_of(config, stop_at=9)        # dies in the third epoch, after 2 checkpoints
    config.update(experiment_name=f'on{num_workers}', randomness=dict(randomness))
    torch.manual_seed(99)
    second = losses_of(config)
    assert list(second) == [8, 9, 10, 11]
    assert second[8] == first[8] and second[9] == first[9]
    assert whole is None or {**first, **second} == whole


def test_two_runs_of_one_seed_agree_whatever_the_workers(tmp_path, images):
    results = []
    for number, (seed, num_workers) in enumerate([(0, 0), (0, 1), (1, 0)]):
        config = make_config(tmp_path / str(number), images)
        config['train_dataloader']['num_workers'] = num_workers
        config['randomness'] = dict(seed=seed)
        torch.manual_seed(0)
        results.append(losses_of(config))
    assert results[0] == results[1]
    assert results[0] != results[2]


def test_iterations_and_ranks_draw_different_numbers():
    hook, draws = SeedIterationHook(), {}
    for iteration, rank, spread in [(0, 0, False), (0, 0, True), (1, 0, False), (0, 1, False),
                                    (0, 1, True)]:
        runner = SimpleNamespace(seed=5 + rank * spread, iter=iteration, rank=rank,
                                 _randomness_cfg=dict(diff_rank_seed=spread))
        hook.before_train_iter(runner, 0)
        draws[iteration, rank, spread] = (random.random(), np.random.rand(), float(torch.rand(())))
    # diff_rank_seed changes nothing: the rank is in the seed anyway.
    assert draws[0, 0, False] == draws[0, 0, True]
    assert draws[0, 1, False] == draws[0, 1, True]
    assert len(set(draws.values())) == 3


def test_each_copy_of_a_repeated_image_is_augmented_differently(tmp_path, images):
    config = make_config(tmp_path / 'run', write_images(tmp_path / 'one', count=1))
    loader = config['train_dataloader']
    # Two workers with two of the four copies each.
    loader.update(batch_size=1, num_workers=2)
    loader['dataset'] = dict(type='RepeatDataset', times=4, dataset=loader['dataset'])
    batches = []
    for number in range(2):
        runner = Runner(**config | dict(experiment_name=f'repeat{number}'))
        assert len(runner.train_dataloader.dataset) == 4
        hook_of(runner, 'SeedIterationHook').before_train_epoch(runner)
        batches.append(torch.cat([batch['inputs'] for batch in runner.train_dataloader]))
    assert len(batches[0].flatten(1).unique(dim=0)) == 4
    assert torch.equal(*batches)


@pytest.mark.parametrize('train_cfg, once', [
    (dict(by_epoch=True, max_epochs=1), 1), (dict(by_epoch=False, max_iters=1), 0)])
def test_only_in_an_epoch_an_image_is_its_own_seed(tmp_path, images, train_cfg, once):
    # An iteration-based loop starts one epoch and goes through the images again and again.
    runner = Runner(**make_config(tmp_path / 'run', images) | dict(train_cfg=train_cfg))
    transform = runner.train_dataloader.dataset.pipeline.transforms[0]
    hook_of(runner, 'SeedIterationHook').before_train_epoch(runner)
    assert transform._state.tolist() == [0, 0, 0, once]


def test_the_sampler_keeps_a_seed_of_its_own(tmp_path, images):
    config = make_config(tmp_path / 'run', images)
    config['train_dataloader']['sampler']['seed'] = 77
    config['cfg'] = dict(train_dataloader=dict(sampler=dict(seed=77)))
    runner = Runner(**config)
    hook_of(runner, 'SeedIterationHook').before_train(runner)
    assert runner.train_dataloader.sampler.seed == 77
