"""Going on: only with the same run, or as it is told, and from inside of an epoch."""
from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from addp_mm.checkpoints.weight_files import load_checkpoint
from tests.helpers.tiny_training import hook_of, losses_of, make_config, write_images

LR = 'optim_wrapper.optimizer.lr'


class Signal(Hook):
    """Sends the process a signal in an iteration."""

    def __init__(self, number: int, iteration: int, in_validation: bool = False) -> None:
        self.number, self.iteration, self.in_validation = number, iteration, in_validation

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        if runner.iter == self.iteration and not self.in_validation:
            os.kill(os.getpid(), self.number)

    def before_val_epoch(self, runner: Runner) -> None:
        if runner.iter == self.iteration and self.in_validation:
            os.kill(os.getpid(), self.number)


class Validations(Hook):
    """Keeps the iterations with a validation, and can be killed before one."""

    def __init__(self, dies_at: int | None = None) -> None:
        self.done: list[int] = []
        self.dies_at = dies_at

    def before_val_epoch(self, runner: Runner) -> None:
        if runner.iter == self.dies_at:
            raise KeyboardInterrupt

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        self.done.append(runner.iter)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_images(tmp_path / 'images')


def build(work_dir: Path, images: Path, name: str, **options: object) -> Runner:
    """A runner that knows its config, as `Runner.from_cfg` makes it."""
    cfg = Config(make_config(work_dir, images))
    cfg.experiment_name = f'{name}{work_dir.name}'
    cfg.merge_from_dict(options)
    return Runner.from_cfg(cfg)


def train(runner: Runner) -> dict[int, float]:
    runner.train()
    return hook_of(runner, 'RecordLosses').losses


def with_validation(config: dict, images: Path) -> dict:
    loader = config['train_dataloader']
    dataset = dict(type='ImageFolder', data_root=str(images), test_mode=True,
                   pipeline=[dict(type='LoadRobustImage'), dict(type='PackInputs')])
    config.update(
        val_dataloader=loader | dict(sampler=dict(type='DefaultSampler', shuffle=False),
                                     dataset=dataset),
        val_cfg=dict(), val_evaluator=dict(type='Iterations'))
    config['default_hooks']['checkpoint'].update(save_best='iterations', rule='greater')
    return config


@pytest.fixture(autouse=True)
def iterations_metric() -> None:
    from mmengine.evaluator import BaseMetric
    from mmengine.logging import MessageHub

    from addp_mm.registry import METRICS

    @METRICS.register_module(force=True)
    class Iterations(BaseMetric):
        """The longer it was trained, the better."""

        def process(self, data_batch: dict, data_samples: list) -> None:
            self.results.append(0)

        def compute_metrics(self, results: list) -> dict:
            return dict(iterations=float(MessageHub.get_current_instance().get_info('iter')))


def test_the_same_run_goes_on_by_itself(tmp_path, images):
    whole = train(build(tmp_path / 'run', images, 'a', **{'train_cfg.max_epochs': 3}))
    (tmp_path / 'run' / 'epoch_3.pth').unlink()
    assert train(build(tmp_path / 'run', images, 'b')) == {n: whole[n] for n in range(8, 12)}


@pytest.mark.parametrize('option, value', [
    (LR, 0.5), ('randomness.seed', 7), ('train_dataloader.batch_size', 4),
    ('train_cfg.max_epochs', 5), ('param_scheduler.T_max', 99), ('model.type', 'ADDP')])
def test_another_run_is_refused_by_name(tmp_path, images, option, value):
    build(tmp_path / 'run', images, 'a', **{'train_cfg.max_epochs': 3}).train()
    before = load_checkpoint(tmp_path / 'run' / 'epoch_3.pth')['meta']['time']
    other = build(tmp_path / 'run', images, 'b', **(
        {} if option == 'model.type' else {option: value}))
    if option == 'model.type':
        other.cfg.model.type = value
    with pytest.raises(ValueError, match=f'other settings: {option}.*--work-dir.*--resume'):
        other.train()
    assert load_checkpoint(tmp_path / 'run' / 'epoch_3.pth')['meta']['time'] == before


def test_explicit_resume_obeys_a_new_rate(tmp_path, images, caplog):
    build(tmp_path / 'run', images, 'a', **{'train_cfg.max_epochs': 1}).train()
    runner = build(tmp_path / 'run', images, 'b', resume=True, **{LR: 1e-5})
    rates = []
    runner.register_hook(Rates(rates))
    runner.train()
    fresh = build(tmp_path / 'fresh', images, 'c', **{LR: 1e-5})
    expected = []
    fresh.register_hook(Rates(expected))
    fresh.train()
    assert rates == expected[4:]


class Rates(Hook):
    """The rate of each iteration."""

    def __init__(self, rates: list) -> None:
        self.rates = rates

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        self.rates.append(runner.optim_wrapper.get_lr()['lr'][0])


def test_explicit_resume_obeys_a_new_batch_and_length(tmp_path, images):
    build(tmp_path / 'run', images, 'a', **{'train_cfg.max_epochs': 1}).train()
    runner = build(tmp_path / 'run', images, 'b', resume=True,
                   **{'train_dataloader.batch_size': 4, 'train_cfg.max_epochs': 2})
    assert list(train(runner)) == [2, 3]


@pytest.mark.parametrize('count', [4, 12])
def test_other_images_at_the_same_path_are_refused_or_obeyed(tmp_path, images, count):
    build(tmp_path / 'run', images, 'a', **{'train_cfg.max_epochs': 1}).train()
    shutil.rmtree(images)
    write_images(images, count)
    said = rf'had 4 iterations, now it has {count // 2}: .* put the earlier ones back\. To train'
    with pytest.raises(ValueError, match=said):
        build(tmp_path / 'run', images, 'b', **{'train_cfg.max_epochs': 1}).train()
    runner = build(tmp_path / 'run', images, 'c', resume=True, **{'train_cfg.max_epochs': 2})
    assert list(train(runner)) == list(range(count // 2, count))


def test_fewer_images_are_refused_inside_an_epoch(tmp_path, images):
    runner = build(tmp_path / 'run', images, 'a')
    runner.register_hook(Signal(signal.SIGTERM, iteration=5))
    with pytest.raises(SystemExit):
        runner.train()
    (images / '0.png').unlink()
    (images / '1.png').unlink()
    with pytest.raises(ValueError, match=r'cannot be resumed .* of epoch_length.* had 4 iter.*3:'):
        build(tmp_path / 'run', images, 'b', resume=True).train()


def test_another_optimizer_is_refused_by_name(tmp_path, images):
    build(tmp_path / 'run', images, 'a', **{'train_cfg.max_epochs': 1}).train()
    runner = build(tmp_path / 'run', images, 'b', resume=True,
                   **{'optim_wrapper.optimizer.type': 'Adam'})
    with pytest.raises(ValueError, match='another setting of optim_wrapper.optimizer.type'):
        runner.train()


@pytest.mark.parametrize('averages_first', [True, False])
def test_another_average_of_the_weights_is_refused(tmp_path, images, averages_first):
    average = dict(type='EMAHook', momentum=0.1)
    first, second = (with_hook(images, average, has) for has in (averages_first,
                                                                 not averages_first))
    build(tmp_path / 'run', images, 'a', **first, **{'train_cfg.max_epochs': 1}).train()
    same = {'train_cfg.max_epochs': 1}
    with pytest.raises(ValueError, match='other settings: .*custom_hooks.EMAHook.type'):
        build(tmp_path / 'run', images, 'b', **second, **same).train()
    with pytest.raises(ValueError, match='another setting of custom_hooks.EMAHook.type'):
        build(tmp_path / 'run', images, 'c', resume=True, **second).train()


def test_explicit_resume_obeys_a_new_momentum(tmp_path, images):
    first, second = (with_hook(images, dict(type='EMAHook', momentum=momentum))
                     for momentum in (0.1, 0.2))
    build(tmp_path / 'run', images, 'a', **first, **{'train_cfg.max_epochs': 1}).train()
    assert list(train(build(tmp_path / 'run', images, 'b', resume=True, **second)))[0] == 4


def with_hook(images: Path, hook: dict, is_there: bool = True) -> dict:
    hooks = make_config(images, images)['custom_hooks']
    return dict(custom_hooks=[*hooks, hook] if is_there else hooks)


def test_weights_cannot_be_resumed_but_are_start_values(tmp_path, images):
    build(tmp_path / 'run', images, 'a', **{'train_cfg.max_epochs': 1}).train()
    weights = load_checkpoint(tmp_path / 'run' / 'epoch_1.pth')['state_dict']
    torch.save(dict(state_dict=weights, meta={}), tmp_path / 'converted.pth')
    start = str(tmp_path / 'converted.pth')
    with pytest.raises(ValueError, match='holds weights, but no state of a training'):
        build(tmp_path / 'b', images, 'b', resume=True, load_from=start).train()
    for path in (start, str(tmp_path / 'run' / 'epoch_1.pth')):
        runner = build(tmp_path / Path(path).stem, images, 'c', load_from=path)
        assert list(train(runner)) == list(range(12))


def test_another_model_is_refused_in_one_line(tmp_path, images):
    build(tmp_path / 'run', images, 'a', **{'train_cfg.max_epochs': 1}).train()
    runner = build(tmp_path / 'run', images, 'b', resume=True)
    runner.model.conv = torch.nn.Conv2d(3, 5, 3)
    with pytest.raises(ValueError, match=r'another model: 2 tensors differ.*conv.bias \(\(4,\)'):
        runner.train()


def test_copied_folder_goes_on_from_its_own_checkpoint(tmp_path, images):
    build(tmp_path / 'run', images, 'a', **{'train_cfg.max_epochs': 3}).train()
    (tmp_path / 'run' / 'epoch_3.pth').unlink()
    shutil.copytree(tmp_path / 'run', tmp_path / 'copy')
    runner = build(tmp_path / 'copy', images, 'b')
    hook_of(runner, 'AtomicCheckpointHook')
    assert list(train(runner)) == [8, 9, 10, 11]
    assert runner._load_from == str(tmp_path / 'copy' / 'epoch_2.pth')
    assert not (tmp_path / 'run' / 'epoch_3.pth').exists()


@pytest.mark.parametrize('taken', ['run', 'checkpoints/run'])
def test_one_training_for_a_folder(tmp_path, images, taken):
    (tmp_path / taken).mkdir(parents=True)
    options = {'default_hooks.checkpoint.out_dir': str(tmp_path / 'checkpoints')}
    code = ("from filelock import FileLock; "
            f"lock = FileLock({str(tmp_path / taken / '.run.lock')!r}); "
            "lock.acquire(); print('locked', flush=True); input()")
    with subprocess.Popen([sys.executable, '-c', code], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b'locked\n'
        with pytest.raises(ValueError, match=f'Another process trains in .*/{taken}: .*--work-dir'):
            build(tmp_path / 'run', images, 'a', **options).train()
        other.kill()
    assert len(train(build(tmp_path / 'run', images, 'b', **options))) == 12


@pytest.mark.parametrize('number, code, num_workers', [
    (signal.SIGTERM, 143, 0), (signal.SIGUSR1, 138, 1)])
def test_signal_inside_an_epoch_loses_nothing(tmp_path, images, number, code, num_workers):
    config = make_config(tmp_path / 'whole', images)
    config['train_dataloader'].update(num_workers=num_workers)
    whole = losses_of(config)
    config.update(work_dir=str(tmp_path / 'cut'), experiment_name=f'cut{number}')
    runner = Runner(**config)
    runner.register_hook(Signal(number, iteration=5))
    with pytest.raises(SystemExit) as end:
        runner.train()
    assert end.value.code == code
    first = hook_of(runner, 'RecordLosses').losses
    assert list(first) == list(range(6))
    assert (tmp_path / 'cut' / 'last_checkpoint').read_text().endswith('cut/interrupted.pth')
    second = losses_of(config | dict(experiment_name=f'on{number}'))
    assert list(second) == list(range(6, 12))
    assert {**first, **second} == whole
    assert not (tmp_path / 'cut' / 'interrupted.pth').exists()


def test_signal_in_an_iteration_based_loop_loses_nothing(tmp_path, images):
    config = make_config(tmp_path / 'whole', images)
    config['train_cfg'] = dict(by_epoch=False, max_iters=9)
    config['train_dataloader']['sampler'] = dict(type='InfiniteSampler', shuffle=True)
    config['default_hooks']['checkpoint'].update(by_epoch=False, interval=4)
    del config['train_dataloader']['dataset']['pipeline'][0]        # the hook seeds without it
    whole = losses_of(config)
    config.update(work_dir=str(tmp_path / 'cut'), experiment_name='cut')
    runner = Runner(**config)
    runner.register_hook(Signal(signal.SIGTERM, iteration=5))
    with pytest.raises(SystemExit):
        runner.train()
    first = hook_of(runner, 'RecordLosses').losses
    config['train_dataloader']['num_workers'] = 1
    second = losses_of(config | dict(experiment_name='on'))
    assert list(second) == [6, 7, 8]
    assert {**first, **second} == whole


def test_lost_validation_is_made_up_and_there_is_one_best(tmp_path, images):
    config = with_validation(make_config(tmp_path / 'run', images), images)
    runner = Runner(**config)
    runner.register_hook(Validations(dies_at=8))
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    assert [p.name for p in (tmp_path / 'run').glob('best_*')] == ['best_iterations_epoch_1.pth']
    runner = Runner(**config | dict(experiment_name='on'))
    validations = Validations()
    runner.register_hook(validations)
    assert list(train(runner)) == [8, 9, 10, 11]
    assert validations.done == [8, 12]
    assert [p.name for p in (tmp_path / 'run').glob('best_*')] == ['best_iterations_epoch_3.pth']


def test_signal_in_validation_ends_at_once_and_is_made_up(tmp_path, images):
    config = with_validation(make_config(tmp_path / 'run', images), images)
    runner = Runner(**config)
    runner.register_hook(Signal(signal.SIGTERM, iteration=12, in_validation=True))
    with pytest.raises(SystemExit):
        runner.train()
    runner = Runner(**config | dict(experiment_name='on'))
    validations = Validations()
    runner.register_hook(validations)
    assert train(runner) == {} and validations.done == [12]


def test_best_of_a_copied_run_leaves_the_original_alone(tmp_path, images):
    config = with_validation(make_config(tmp_path / 'run', images), images)
    Runner(**config | dict(train_cfg=dict(by_epoch=True, max_epochs=2))).train()
    shutil.copytree(tmp_path / 'run', tmp_path / 'copy')
    Runner(**config | dict(work_dir=str(tmp_path / 'copy'), experiment_name='on')).train()
    assert [p.name for p in (tmp_path / 'run').glob('best_*')] == ['best_iterations_epoch_2.pth']
    assert [p.name for p in (tmp_path / 'copy').glob('best_*')] == ['best_iterations_epoch_3.pth']
