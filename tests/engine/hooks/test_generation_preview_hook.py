"""Pictures of generated images during a training."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.registry import VISBACKENDS
from mmengine.runner import Runner
from mmengine.visualization import BaseVisBackend
from PIL import Image

from addp_mm.engine.hooks import GenerationPreviewHook
from addp_mm.generation import ImageGenerator
from tests.helpers.tiny import tiny_addp_cfg, tiny_mage_training_cfg

PICTURES: list[tuple[str, np.ndarray, int]] = []


@VISBACKENDS.register_module()
class KeepImages(BaseVisBackend):
    """A backend that keeps images in a list."""

    def _init_env(self) -> None:
        pass

    @property
    def experiment(self) -> object:
        return self

    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs: Any) -> None:
        PICTURES.append((name, image, step))


def make_runner(folder: Path, model: dict, **hook: Any) -> Runner:
    """A runner of 3 epochs of 2 iterations, without random crops."""
    PICTURES.clear()
    (folder / 'images').mkdir()
    for i in range(4):
        Image.fromarray(np.full((32, 32, 3), 60 * i, np.uint8)).save(folder / f'images/{i}.png')
    dataset = dict(type='ImageFolder', data_root=str(folder / 'images'),
                   pipeline=[dict(type='LoadRobustImage'), dict(type='PackInputs')])
    return Runner(
        model, str(folder / 'work'), experiment_name=folder.name, default_scope='mmpretrain',
        randomness=dict(seed=0), train_cfg=dict(by_epoch=True, max_epochs=3),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        train_dataloader=dict(
            batch_size=2, num_workers=0, dataset=dataset,
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='default_collate')),
        visualizer=dict(type='UniversalVisualizer', vis_backends=[
            dict(type='KeepImages', save_dir=str(folder)), dict(type='LocalVisBackend')]),
        custom_hooks=[dict(type='GenerationPreviewHook', num_images=3, **hook)] if hook else [])


@pytest.mark.parametrize('make_cfg', [tiny_addp_cfg, tiny_mage_training_cfg])
def test_every_second_epoch_and_the_last(tmp_path: Path, make_cfg) -> None:
    runner = make_runner(tmp_path, make_cfg(tmp_path), interval=2, seed=4,
                         sampler=dict(num_steps=3))
    runner.train()
    assert [(name, step) for name, _, step in PICTURES] == [('generated', 4), ('generated', 6)]
    files = list((tmp_path / 'work').rglob('generated_6.png'))
    last = PICTURES[-1][1]
    assert np.array_equal(np.asarray(Image.open(files[0])), last)
    images = ImageGenerator(runner.model.eval(), dict(num_steps=3)).generate(range(3), 4).images
    assert last.shape == (2 * 32 + 6, 2 * 32 + 6, 3)
    wanted = (images * 255).byte().permute(0, 2, 3, 1).numpy()
    assert np.array_equal(last[2:34, 2:34], wanted[0]) and np.array_equal(last[36:68, 2:34],
                                                                          wanted[2])
    assert (last[36:68, 36:68] == 255).all()


def test_iterations(tmp_path: Path) -> None:
    make_runner(tmp_path, tiny_addp_cfg(tmp_path), interval=4, by_epoch=False, name='preview',
                sampler=dict(num_steps=1)).train()
    assert [(name, step) for name, _, step in PICTURES] == [('preview', 3), ('preview', 5)]


def test_the_training_is_not_disturbed(tmp_path: Path) -> None:
    weights = []
    for name, hook in (('with', dict(interval=1, sampler=dict(num_steps=2))), ('without', {})):
        (tmp_path / name).mkdir()
        runner = make_runner(tmp_path / name, tiny_addp_cfg(tmp_path), **hook)
        runner.train()
        weights.append(runner.model.state_dict())
        assert all(module.training for module in runner.model.modules()
                   if isinstance(module, torch.nn.Dropout))
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())


def test_bad_options_stop_before_the_training(tmp_path: Path) -> None:
    runner = make_runner(tmp_path, tiny_addp_cfg(tmp_path), sampler=dict(num_steps=17))
    with pytest.raises(ValueError, match='number of tokens of an image, 16, got 17'):
        runner.train()
    assert runner.iter == 0
    with pytest.raises(ValueError, match='positive numbers, got interval=0'):
        GenerationPreviewHook(interval=0)
