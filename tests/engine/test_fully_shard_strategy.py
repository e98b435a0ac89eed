"""Sharded over two processes, a training is that of DDP, and its checkpoints are ordinary ones."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import STRATEGIES
from mmengine.runner import Runner
from PIL import Image
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, Partial
from torch.distributed.tensor.debug import CommDebugMode

from addp_mm.apis.train import build_runner
from addp_mm.checkpoints import load_encoder
from addp_mm.checkpoints.weight_files import load_checkpoint
from addp_mm.cli.run import EXIT_INTERRUPTED, run
from addp_mm.cli.train import main
from addp_mm.engine import FullyShardStrategy
from addp_mm.engine.fully_shard_strategy import with_whole_norm
from addp_mm.registry import HOOKS, MODELS
from tests.helpers.tiny import build_model, tiny_addp_cfg, tiny_batch
from tests.helpers.tiny_training import RecordLosses, make_recipe, write_images
from tests.helpers.two_processes import in_two_processes

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / 'configs/addp/addp_vit-h_800e_fsdp.py'
ITERS_PER_EPOCH = 3


@HOOKS.register_module()
class KeepShardedLosses(RecordLosses):
    """Writes the losses of a process, in which pytest cannot look."""

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        try:
            super().after_train_iter(runner, batch_idx, data_batch, outputs)
        finally:
            torch.save(self.losses,
                       Path(runner.work_dir, f'losses_{self.stop_at}_{runner.rank}.pth'))


def _recipe(folder: Path) -> Config:
    """The shipped config; an accumulation does not divide an epoch, and clips every step."""
    return make_recipe(RECIPE, folder, **{
        'train_dataloader.num_workers': 0,
        'train_dataloader.persistent_workers': False,
        'optim_wrapper.clip_grad.max_norm': 0.1,
        'optim_wrapper.cpu_dtype': 'float32',
    })


def _unshard(cfg: Config) -> None:
    cfg.pop('runner_type')
    cfg.pop('strategy')


def _train(config: Path, work_dir: Path, flags: tuple[str, ...], stop_at: int | None) -> None:
    """As ``tools/dist_train.sh CONFIG 2 [flags]``."""
    hook = f'custom_hooks.{len(Config.fromfile(config).custom_hooks) - 1}.stop_at={stop_at}'
    words = [str(config), '--work-dir', str(work_dir), '--launcher', 'pytorch', *flags,
             '--cfg-options', hook]
    assert run(main, words) == (EXIT_INTERRUPTED if stop_at else 0)


@pytest.fixture(scope='module')
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of each kind."""
    folder = tmp_path_factory.mktemp('runs')
    write_images(folder / 'images', 4 * ITERS_PER_EPOCH)
    cfg = _recipe(folder)
    cfg.custom_hooks += [dict(type='GenerationPreviewHook', num_images=2, interval=2,
                              sampler=dict(num_steps=2)),
                         dict(type='KeepShardedLosses', stop_at=None)]
    cfg.dump(folder / 'sharded.py')
    _unshard(cfg)
    cfg.dump(folder / 'ddp.py')

    def run(config: str, name: str, *flags: str, stop_at: int | None = None) -> None:
        in_two_processes(_train, folder, folder / f'{config}.py', folder / name, flags, stop_at)

    run('ddp', 'ddp')
    run('sharded', 'sharded')
    run('sharded', 'stopped', stop_at=ITERS_PER_EPOCH + 1)
    (folder / 'stopped').rename(folder / 'moved')   # mmengine would look in the old place
    run('sharded', 'moved')
    run('sharded', 'from_ddp', '--resume', str(folder / 'ddp/epoch_1.pth'))
    return folder


def _losses(run: Path, stop_at: int | None = None) -> list[dict[int, float]]:
    return [torch.load(run / f'losses_{stop_at}_{rank}.pth') for rank in range(2)]


def _assert_same_file(path: Path, other: Path) -> None:
    first, second = load_checkpoint(path), load_checkpoint(other)
    assert first['state_dict'].keys() == second['state_dict'].keys()
    assert first['param_schedulers'] == second['param_schedulers']
    assert first['meta']['frozen_weights'] == second['meta']['frozen_weights']
    assert (first['meta']['epoch'], first['meta']['iter'], first['meta']['seed']) == (
        second['meta']['epoch'], second['meta']['iter'], second['meta']['seed'])
    # The gradient of a key's bias is 0 but for rounding, which AdamW makes large.
    torch.testing.assert_close(first['state_dict'], second['state_dict'], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(first['optimizer'], second['optimizer'], rtol=1e-5, atol=1e-6)


def test_losses_and_checkpoint_are_those_of_ddp(runs: Path) -> None:
    for sharded, ddp in zip(_losses(runs / 'sharded'), _losses(runs / 'ddp'), strict=True):
        assert list(sharded) == list(ddp) == list(range(2 * ITERS_PER_EPOCH))
        assert list(sharded.values()) == pytest.approx(list(ddp.values()), rel=1e-5)
        assert len(set(ddp.values())) == len(ddp)
    _assert_same_file(runs / 'sharded/epoch_2.pth', runs / 'ddp/epoch_2.pth')
    start, end = (load_checkpoint(runs / f'ddp/epoch_{i}.pth')['state_dict'] for i in (1, 2))
    assert all((start[name] - end[name]).abs().max() > 1e-4 for name in start)


def test_pictures_are_those_of_ddp(runs: Path) -> None:
    pictures = [list((runs / name).glob('*/vis_data/vis_image/*.png'))
                for name in ('sharded', 'ddp')]
    assert [[path.name for path in paths] for paths in pictures] == [['generated_6.png']] * 2
    pixels, other = (np.asarray(Image.open(path), dtype=int) for path, in pictures)
    assert np.abs(pixels - other).max() <= 1


def test_interrupted_run_goes_on_as_if_it_had_not_been(runs: Path) -> None:
    rows = zip(_losses(runs / 'sharded'), _losses(runs / 'moved', ITERS_PER_EPOCH + 1),
               _losses(runs / 'moved'), strict=True)
    for whole, stopped, resumed in rows:
        assert min(resumed) == ITERS_PER_EPOCH          # from the checkpoint after the first epoch
        assert stopped | resumed == whole
    _assert_same_file(runs / 'moved/epoch_2.pth', runs / 'sharded/epoch_2.pth')


def test_goes_on_from_a_checkpoint_of_ddp(runs: Path) -> None:
    for resumed, ddp in zip(_losses(runs / 'from_ddp'), _losses(runs / 'ddp'), strict=True):
        assert resumed == pytest.approx(
            {i: ddp[i] for i in range(ITERS_PER_EPOCH, 2 * ITERS_PER_EPOCH)}, rel=1e-5)
    _assert_same_file(runs / 'from_ddp/epoch_2.pth', runs / 'ddp/epoch_2.pth')


def test_one_process_takes_the_checkpoint(runs: Path, tmp_path: Path) -> None:
    path = runs / 'sharded/epoch_2.pth'
    saved = load_checkpoint(path)
    plain = MODELS.build(tiny_addp_cfg(tmp_path))
    plain.load_state_dict(saved['state_dict'])          # strict
    load = load_encoder(plain.backbone, str(path))
    assert len(load.loaded) == len(plain.backbone.state_dict()) and not load.new

    cfg = _recipe(runs)
    _unshard(cfg)
    cfg.update(work_dir=str(tmp_path), load_from=str(path), resume=True, experiment_name='one')
    runner = Runner.from_cfg(cfg)
    runner.train()                                      # resumes after the last epoch
    # One process has longer epochs than two; the iterations are counted in its own.
    assert runner.epoch == 2 and runner.iter == 2 * len(runner.train_dataloader)
    torch.testing.assert_close(dict(runner.model.state_dict()), dict(saved['state_dict']),
                               rtol=0, atol=0)
    torch.testing.assert_close(runner.optim_wrapper.state_dict(), saved['optimizer'],
                               rtol=0, atol=0)


def _strategy(folder: Path, **options: Any) -> FullyShardStrategy:
    return STRATEGIES.build(dict(
        type='FullyShardStrategy', work_dir=str(folder),
        env_kwargs=dict(launcher='pytorch', randomness=dict(seed=0)), **options))


def _optimizer_cfg(**options: Any) -> dict:
    return dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1, momentum=0.9), **options)


def _prepared(folder: Path, model: nn.Module, wrapper: dict,
              **options: Any) -> tuple[FSDPModule, OptimWrapper]:
    return _strategy(folder, **options).prepare(
        model, optim_wrapper=wrapper, dispatch_kwargs=dict(max_iters=4))


def _check_parts(folder: Path) -> None:
    """Each process has half of the weights; accumulated gradients travel once."""
    strategy = _strategy(folder)
    model, wrapper = strategy.prepare(
        build_model(tiny_addp_cfg(folder)), dispatch_kwargs=dict(max_iters=4),
        optim_wrapper=_optimizer_cfg(accumulative_counts=2))
    assert isinstance(model.backbone.layers[0], FSDPModule)
    assert isinstance(model.neck.layers[1], FSDPModule)
    whole = sum(parameter.numel() for parameter in model.parameters())
    here = sum(parameter.to_local().numel() for parameter in model.parameters())
    assert 0.45 < here / whole < 0.55
    frozen = model.data_preprocessor.tokenizer.description
    assert not any(isinstance(parameter, DTensor) for parameter in frozen.parameters())
    gathered, reduced = [], []
    for _ in range(4):
        with CommDebugMode() as communication:
            model.train_step(tiny_batch(2), wrapper)
        counts = {str(name): count for name, count in communication.get_comm_counts().items()}
        gathered.append(sum(n for name, n in counts.items() if 'allgather' in name))
        reduced.append(sum(n for name, n in counts.items() if 'reduce_scatter' in name))
    assert gathered == [9] * 4          # 4 layers twice, and what is left once
    assert reduced == [0, 5, 0, 5]

    batch = tiny_batch(2)
    scores = model.eval().val_step(batch)               # from outside of `forward`
    weights = strategy.model_state_dict()
    if distributed.get_rank() == 0:
        plain = build_model(tiny_addp_cfg(folder)).eval()
        plain.load_state_dict(weights)
        torch.testing.assert_close(scores, plain.val_step(batch))
    else:
        assert set(weights.values()) == {None}

    parameters = list(model.parameters())
    whole = {i: dict(momentum_buffer=torch.ones(p.shape)) for i, p in enumerate(parameters)}
    strategy.load_optim_state_dict({**wrapper.state_dict(), 'state': whole})
    for parameter in parameters:
        part = wrapper.optimizer.state[parameter]['momentum_buffer'].to_local()
        assert part.shape == parameter.to_local().shape and (part == 1).all()
        assert part.untyped_storage().nbytes() == 4 * part.numel()      # the rest is not kept


def test_every_process_keeps_its_part(tmp_path: Path) -> None:
    in_two_processes(_check_parts, tmp_path, tmp_path)


def _check_precision(folder: Path, model: nn.Module, twin: nn.Module) -> None:
    """Autocast and recomputed activations: the gradients of DDP's one process."""
    batch = [tiny_batch(2) for _ in range(2)][distributed.get_rank()]
    names = [f'backbone.layers.{i}' for i in range(2)]
    model, _ = _prepared(folder, model, _optimizer_cfg(), activation_checkpointing=names)
    calls = []
    for network in (model, twin):
        network.backbone.layers[1].ln1.register_forward_hook(lambda *_: calls.append(1))
    data = model.data_preprocessor(batch, True)
    for network in (model, twin):
        with torch.autocast('cpu', torch.bfloat16):
            loss = network(**data, mode='loss')['loss_token']
        loss.backward()
    assert len(calls) == 2 + 1      # the sharded one's layers computed again
    for (name, own), other in zip(model.named_parameters(), twin.parameters(), strict=True):
        distributed.all_reduce(other.grad)
        torch.testing.assert_close(own.grad.full_tensor(), other.grad / 2, rtol=1e-5, atol=1e-6,
                                   msg=name)


def test_precision_is_that_of_autocast(tmp_path: Path) -> None:
    cfg = tiny_addp_cfg(tmp_path, backbone=dict(drop_rate=0.), neck=dict(drop_rate=0.))
    model, twin = build_model(cfg), build_model(cfg)
    twin.load_state_dict(model.state_dict())
    model.init_weights = lambda: None       # the strategy would draw others
    in_two_processes(_check_precision, tmp_path, tmp_path, model, twin)


def _check_norm() -> None:
    mesh = init_device_mesh('cpu', (2, ))

    def clip(value: float) -> DTensor:
        return DTensor.from_local(torch.tensor(value), mesh, [Partial()])

    assert float(with_whole_norm(clip)(distributed.get_rank() + 1.)) == 3.
    assert with_whole_norm(lambda: None)() is None


def test_norm_of_gradients_is_that_of_all_processes(tmp_path: Path) -> None:
    in_two_processes(_check_norm, tmp_path)


def _check_errors(folder: Path) -> None:
    model = build_model(tiny_addp_cfg(folder))
    with pytest.raises(ValueError, match='no backbone.blocks.*layers'):
        _prepared(folder, model, _optimizer_cfg(), layers=['backbone.blocks'])
    several = dict(constructor='mmpretrain.JointOptimWrapperConstructor',
                   backbone=_optimizer_cfg(), neck=_optimizer_cfg())
    with pytest.raises(ValueError, match=r"one optimizer, got \['backbone', 'neck'\]"):
        _prepared(folder, model, several)
    strategy = _strategy(folder)
    strategy.prepare(build_model(tiny_addp_cfg(folder)))
    with pytest.raises(ValueError, match=r'neck.norm.weight of shape \(3,\).*\(48,\)'):
        strategy.load_model_state_dict({'module.neck.norm.weight': torch.ones(3)})


def test_errors_say_what_to_do(tmp_path: Path) -> None:
    in_two_processes(_check_errors, tmp_path, tmp_path)
    with pytest.raises(ValueError, match='this run has one.*dist_train.sh'):
        STRATEGIES.build(dict(type='FullyShardStrategy', work_dir=str(tmp_path),
                              env_kwargs=dict(launcher='none')))
    cfg = Config.fromfile(RECIPE)
    cfg.activation_checkpointing = ['backbone.layers.0']
    with pytest.raises(ValueError, match='move it to strategy.activation_checkpointing'):
        build_runner(cfg)
