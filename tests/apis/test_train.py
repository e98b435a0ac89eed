"""What the tools share: flags, the machine's limits, and what a user reads when it fails."""
from __future__ import annotations

import json
import os
import pickle
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.runner import Runner
from PIL import Image

from addp_mm.apis import machine
from addp_mm.apis.train import build_runner, train, train_config
from addp_mm.apis.train import test_config as config_of_test
from addp_mm.cli import train as cli_train
from addp_mm.engine.hooks import CheckpointFitHook
from addp_mm.registry import HOOKS, METRICS
from tests.helpers.tiny_training import make_config, write_images
from tests.helpers.tools import run_tool as run

NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason='needs a machine without a GPU')


@HOOKS.register_module()
class PressCtrlC(Hook):
    """What the user does in the second epoch."""

    def before_train_epoch(self, runner: Runner) -> None:
        if runner.epoch == 1:
            raise KeyboardInterrupt


@HOOKS.register_module()
class PoolToOneValue(Hook):
    """The pooled branch of UperNet, with a batch of one image."""

    def before_train_iter(self, *args: object, **kwargs: object) -> None:
        torch.nn.BatchNorm2d(1)(torch.zeros(1, 1, 1, 1))


@HOOKS.register_module()
class FillTheGPU(Hook):
    """What torch raises where no block of memory is left, here in the second epoch."""

    def after_train_iter(self, runner: Runner, *args: object, **kwargs: object) -> None:
        if runner.epoch == 1:
            raise torch.OutOfMemoryError(
                'CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of '
                '79.11 GiB of which 1.02 GiB is free. Process 7 has 78.09 GiB memory in use.\nSee')


@METRICS.register_module()
class CountImages(BaseMetric):
    """How many images were predicted."""

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        self.results += data_samples

    def compute_metrics(self, results: list) -> dict:
        return dict(count=len(results))


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('LOCAL_RANK', '0')


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    return write_config(tmp_path)


def write_config(folder: Path, **changes) -> Path:
    """A config of the tiny training, without work_dir."""
    config = make_config(folder, write_images(folder / 'images'))
    del config['work_dir']
    test_loader = {**config['train_dataloader'], 'sampler': dict(type='DefaultSampler')}
    config.update(val_cfg=dict(), val_dataloader=test_loader,
                  val_evaluator=dict(type='CountImages'), test_cfg=dict(),
                  test_dataloader=test_loader, test_evaluator=dict(type='CountImages'), **changes)
    Config(config).dump(folder / 'tiny.py')
    return folder / 'tiny.py'


def merged(config: Path, *flags: str) -> Config:
    """The config that a command line trains."""
    with pytest.MonkeyPatch.context() as patch:
        trained = []
        patch.setattr(cli_train, 'train', lambda config, **options: trained.append(
            train_config(config, **options)))
        cli_train.main([str(config), *flags])
    return trained[0]


def test_work_dir_is_that_of_flag_then_config_then_name(config_file):
    assert merged(config_file).work_dir == os.path.join('work_dirs', 'tiny')
    with config_file.open('a') as file:
        file.write("\nwork_dir = 'from_config'\n")
    assert merged(config_file).work_dir == 'from_config'
    assert merged(config_file, '--work-dir', 'from_flag').work_dir == 'from_flag'


def test_flags_of_mmpretrain_mean_the_same(config_file, tmp_path):
    (tmp_path / 'a.pth').touch()
    cfg = merged(config_file, '--no-validate', '--no-pin-memory', '--no-persistent-workers',
                 '--resume', 'a.pth', '--cfg-options', 'optim_wrapper.optimizer.lr=0.5')
    assert cfg.val_cfg is cfg.val_dataloader is cfg.val_evaluator is None
    assert not cfg.train_dataloader.pin_memory and not cfg.train_dataloader.persistent_workers
    assert (cfg.resume, cfg.load_from) == (True, 'a.pth')
    assert cfg.optim_wrapper.optimizer.lr == 0.5
    cfg = merged(config_file, '--resume')
    assert (cfg.resume, cfg.load_from) == (True, None)
    assert cfg.train_dataloader.pin_memory and cfg.train_dataloader.persistent_workers
    assert cfg.train_dataloader.collate_fn.type == 'default_collate'
    assert cfg.val_cfg is not None


@pytest.mark.parametrize('kind, expected', [
    ('OptimWrapper', 'AmpOptimWrapper'), ('PortableAmpOptimWrapper', 'PortableAmpOptimWrapper')])
def test_amp_flag(tmp_path, kind, expected):
    plain = dict(type=kind, optimizer=dict(type='SGD', lr=0.1))
    assert merged(write_config(tmp_path, optim_wrapper=plain), '--amp').optim_wrapper.type == (
        expected)
    several = dict(constructor='Any', first=plain, second=plain)
    cfg = merged(write_config(tmp_path, optim_wrapper=several), '--amp')
    assert cfg.optim_wrapper.first.type == cfg.optim_wrapper.second.type == expected
    assert 'type' not in cfg.optim_wrapper


@pytest.mark.parametrize('dtype, expected', [('float32', None), ('float16', 'float16')])
def test_amp_flag_of_a_wrapper_in_full_precision(tmp_path, dtype, expected):
    wrapper = dict(type='PortableAmpOptimWrapper', dtype=dtype,
                   optimizer=dict(type='SGD', lr=0.1))
    config = write_config(tmp_path, optim_wrapper=wrapper)
    assert merged(config, '--amp').optim_wrapper.get('dtype') == expected
    assert merged(config).optim_wrapper.dtype == dtype


def test_an_endless_sampler_and_epochs(config_file, capsys):
    endless = 'train_dataloader.sampler.type=InfiniteSampler'
    assert run('train', config_file, '--cfg-options', endless) == 2
    assert 'InfiniteSampler, whose epochs never end' in capsys.readouterr().err
    cfg = train_config(config_file, work_dir='out', cfg_options={
        'train_dataloader.sampler.type': 'InfiniteSampler',
        'train_cfg': dict(_delete_=True, by_epoch=False, max_iters=2),
        'default_hooks.checkpoint.by_epoch': False})
    assert train(cfg).iter == 2


def test_a_schedule_of_iterations_is_compared_with_the_epochs(config_file):
    cfg = train_config(config_file, work_dir='out', cfg_options={
        'param_scheduler.end': 2, 'train_cfg.max_epochs': 1})
    train(cfg)
    log = next(Path('out').glob('*/*.log')).read_text()
    assert 'CosineAnnealingLR ends at 2, the training at 4 iterations' in log


def test_auto_scale_lr_flag(tmp_path):
    cfg = merged(write_config(tmp_path, auto_scale_lr=dict(base_batch_size=4)), '--auto-scale-lr')
    assert cfg.auto_scale_lr.enable
    assert run('train', write_config(tmp_path, auto_scale_lr=None), '--auto-scale-lr') == 2


@NO_GPU
def test_config_is_adapted_to_a_machine_without_gpu(config_file):
    cfg = merged(config_file, '--cfg-options', 'optim_wrapper.type=AmpOptimWrapper',
                 'train_dataloader.prefetch_factor=2')
    notes = ' '.join(machine.adapt_to_machine(cfg))
    assert cfg.optim_wrapper.type == 'mmpretrain.PortableAmpOptimWrapper'
    assert 'AmpOptimWrapper' in notes
    assert not cfg.train_dataloader.pin_memory and 'pin_memory is off' in notes
    assert not cfg.train_dataloader.persistent_workers and 'persistent_workers is off' in notes
    assert 'prefetch_factor' not in cfg.train_dataloader
    assert machine.adapt_to_machine(cfg) == []


@NO_GPU
def test_training_runs_and_the_log_tells_what_was_changed(config_file, tmp_path):
    assert run('train', config_file, '--work-dir', 'out', '--amp', '--cfg-options',
               'train_cfg.max_epochs=1', 'optim_wrapper.type=OptimWrapper') == 0
    assert (tmp_path / 'out' / 'epoch_1.pth').is_file()
    (log,) = (tmp_path / 'out').glob('*/*.log')
    assert 'pin_memory is off' in log.read_text()


@pytest.mark.parametrize('named', [[], [dict(type='CheckpointFitHook', priority='LOWEST')]])
def test_checkpoints_are_compared_once(tmp_path, named):
    cfg = merged(write_config(tmp_path, custom_hooks=named))
    cfg.work_dir = str(tmp_path)
    hooks = build_runner(cfg).hooks
    assert [type(hook) for hook in hooks].count(CheckpointFitHook) == 1


def test_ctrl_c_says_how_to_go_on(tmp_path, capsys):
    config = write_config(tmp_path, custom_hooks=[dict(type='PressCtrlC')])
    assert run('train', config, '--work-dir', 'out') == 130
    assert capsys.readouterr().err == 'Interrupted.\n'
    (log,) = (tmp_path / 'out').glob('*/*.log')
    assert re.search(r'Interrupted in iteration 5\. The last checkpoint is .*epoch_1\.pth; '
                     r'the same command with --resume', log.read_text())
    assert run('train', write_config(tmp_path), '--work-dir', 'out', '--resume') == 0
    assert (tmp_path / 'out' / 'epoch_3.pth').is_file()


@pytest.mark.parametrize('words, message', [
    (['missing.py'], r'missing\.py'),
    (['tiny.py', '--resume', 'missing.pth'], r'Expected a checkpoint at missing\.pth'),
    (['tiny.py', '--cfg-options', 'train_dataloader.dataset.data_root=gone'],
     r'Expected a folder of images at gone .*Set data_root'),
    (['tiny.py', '--cfg-options', 'train_dataloader.batch_size=9',
      'train_dataloader.drop_last=True'], r'8 training images .* do not fill one batch of 9'),
    (['tiny.py', '--cfg-options', 'optim_wrapper.dtype=float8'], r'dtype must be one of')])
def test_mistakes_of_the_user_are_one_line(config_file, capsys, words, message):
    assert run('train', *words) == 2
    error = capsys.readouterr().err
    assert error.count('\n') == 1 and 'Traceback' not in error
    assert re.search(message, error)


@pytest.mark.parametrize('option, message', [
    ('train_dataloader.dataset.pipeline.2.type=ResizeEdge',    # of two sizes
     'The training fails in its first iteration: RuntimeError: stack expects .*, line'),
    ('val_dataloader.dataset.pipeline.2.type=ResizeEdge',
     'The training fails in its first validation: RuntimeError: stack expects'),
    ('train_dataloader.dataset.pipeline.1.type=PackInputs',
     'The step .* of a pipeline fails: KeyError: '),
    ('model.foo=1', r"TinyModel has no setting 'foo' \(model.foo\)"),
    ('optim_wrapper.optimizer.betas=3', r'AdamW \(optim_wrapper.optimizer.type\) cannot be built'),
    ('randomness.seed=-1', 'The runner of the config cannot be built: ValueError: Seed must'),
    ('train_dataloader.batch_size=two', 'train_dataloader cannot be built: ValueError: batch'),
    ('default_hooks.checkpoint.out_dir=images/0.png', 'Checkpoints cannot be written to images')])
def test_what_a_library_refuses_is_one_line(config_file, capsys, option, message):
    Image.new('RGB', (24, 12)).save('images/9.png')
    assert run('train', config_file, '--work-dir', 'out', '--cfg-options', option) == 2
    error = capsys.readouterr().err
    assert error.count('\n') == 1 and re.search(message, error)


@pytest.mark.parametrize('batch_size, code', [(3, 0), (4, 0), (9, 2)])
def test_images_that_are_not_scored_are_named(config_file, tmp_path, capsys, batch_size, code):
    assert run('train', config_file, '--work-dir', 'out', '--cfg-options', 'train_cfg.max_epochs=1',
               'val_dataloader.drop_last=True', f'val_dataloader.batch_size={batch_size}') == code
    (log,) = (tmp_path / 'out').glob('*/*.log')
    warning = 'val_dataloader.drop_last leaves 2 of 8 images out of the scores. Set '
    assert (warning in log.read_text()) == (batch_size == 3)
    assert ('8 images for each process do not fill one batch of 9' in capsys.readouterr().err) == (
        code == 2)


def test_a_start_that_is_refused_leaves_the_config(config_file, capsys):
    words = [config_file, '--work-dir', 'out', '--cfg-options', 'train_cfg.max_epochs=1']
    assert run('train', *words) == 0
    before = Path('out', 'tiny.py').read_bytes()
    assert run('train', *words, 'optim_wrapper.optimizer.lr=0.5') == 2
    assert 'holds a run with other settings' in capsys.readouterr().err
    assert run('train', *words, 'model.foo=1') == 2
    assert Path('out', 'tiny.py').read_bytes() == before


def test_a_batch_norm_of_one_value_is_one_line(tmp_path, capsys):
    config = write_config(tmp_path, custom_hooks=[dict(type='PoolToOneValue')])
    assert run('train', config, '--work-dir', 'out') == 2
    error = capsys.readouterr().err
    assert error.count('\n') == 1 and 'batch_size to 2 or more' in error


def test_a_full_gpu_is_one_line_and_keeps_the_last_checkpoint(tmp_path, capsys):
    config = write_config(tmp_path, custom_hooks=[dict(type='FillTheGPU')])
    assert run('train', config, '--work-dir', 'out') == 2
    error = capsys.readouterr().err
    assert error.startswith('error: CUDA out of memory. Tried to allocate 2.00 GiB. Lower train_')
    assert error.count('\n') == 1 and 'Process 7' not in error
    settings = ('batch_size', 'accumulative_counts', 'activation_checkpointing', 'with_cp=True')
    assert all(setting in error for setting in settings)
    assert Path('out/epoch_1.pth').is_file()


@pytest.mark.parametrize('num_workers', [0, 1])
def test_broken_data_is_one_line_also_from_a_worker(config_file, tmp_path, capsys, num_workers):
    for path in (tmp_path / 'images').iterdir():
        path.write_bytes(b'no image')
    assert run('train', config_file, '--cfg-options', 'train_dataloader.num_workers='
               f'{num_workers}', 'train_dataloader.dataset.pipeline.1.min_bad_allowed=3') == 2
    error = capsys.readouterr().err
    assert error.startswith('error: 4 of ') and error.count('\n') == 1


def test_missing_file_while_training_keeps_its_traceback(tmp_path):
    config = write_config(tmp_path, custom_hooks=[dict(type='LoseFile')])
    with pytest.raises(FileNotFoundError):
        run('train', config, '--work-dir', 'out')


@HOOKS.register_module()
class LoseFile(Hook):
    """A bug that only shows in training."""

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict) -> None:
        Path('gone').read_text()


def test_test_tool_writes_metrics_and_predictions(config_file, tmp_path):
    assert run('train', config_file, '--work-dir', 'out', '--cfg-options',
               'train_cfg.max_epochs=1') == 0
    # `resume = True`, as the shipped configs have it, must not make the test build the training.
    config = write_config(tmp_path, resume=True, train_dataloader=dict(dataset=dict(type='Gone')),
                          default_hooks=dict(checkpoint=dict(type='CheckpointHook')))
    words = [config, 'out/epoch_1.pth', '--work-dir', 'tested']
    assert run('test', *words, '--out', 'metrics.json', '--out-item', 'metrics') == 0
    assert json.loads((tmp_path / 'metrics.json').read_text()) == dict(count=8)
    assert run('test', *words, '--out', 'pred.pkl') == 0
    assert len(pickle.loads((tmp_path / 'pred.pkl').read_bytes())) == 8


@pytest.mark.parametrize('words, message', [
    (['missing.pth'], 'Expected a checkpoint at missing'),
    (['tiny.py', '--out-item', 'pred'], 'expected --out FILE'),
    (['tiny.py', '--out', 'a.txt'], '--out must end in .pkl or .pickle for pred, got a.txt'),
    (['tiny.py', '--show-dir', 'pictures'], 'need a hook')])
def test_mistakes_in_testing_are_one_line(config_file, capsys, words, message):
    assert run('test', config_file, *words) == 2
    error = capsys.readouterr().err
    assert error.count('\n') == 1 and message in error


@pytest.mark.parametrize('words, message', [
    (['test', 'tiny.py', 'other.pth'], 'weights of another model than the TinyModel'),
    (['train', 'tiny.py', '--cfg-options', 'load_from=other.pth'], 'does not fit the TinyModel'),
])
def test_weights_of_something_else_stop_every_tool(config_file, capsys, words, message):
    torch.save(dict(state_dict=torch.nn.Linear(2, 2).state_dict()), 'other.pth')
    assert run(*words, '--work-dir', 'out') == 2
    error = capsys.readouterr().err
    assert error.count('\n') == 1 and message in error and '0 of ' in error


def test_flags_of_testing_reach_the_config(tmp_path):
    hooks = dict(visualization=dict(type='VisualizationHook'))
    config = write_config(tmp_path, default_hooks=hooks)
    cfg = config_of_test(config, config, show_dir='pictures', amp=True, interval=3, wait_time=0.5,
                      tta=True)
    assert cfg.default_hooks.visualization == dict(
        type='VisualizationHook', enable=True, show=False, wait_time=0.5,
        out_dir=os.path.abspath('pictures'), interval=3)
    assert cfg.test_cfg.fp16 and not cfg.resume
    assert cfg.model.type == 'mmpretrain.AverageClsScoreTTA'
    assert cfg.model.module.type == 'TinyModel'
    assert cfg.test_dataloader.dataset.pipeline[-1].type == 'TestTimeAug'


@pytest.mark.parametrize('launcher, variables, expected', [
    ('pytorch', dict(RANK='0'), {}),
    ('mpi', dict(OMPI_COMM_WORLD_RANK='3', OMPI_COMM_WORLD_SIZE='4',
                 OMPI_COMM_WORLD_LOCAL_RANK='1', MASTER_ADDR='host'),
     dict(RANK='3', WORLD_SIZE='4', LOCAL_RANK='1', MASTER_PORT='29500')),
    ('slurm', dict(SLURM_PROCID='1', SLURM_NTASKS='2', SLURM_LOCALID='1', MASTER_ADDR='host',
                   MASTER_PORT='5'),
     dict(RANK='1', WORLD_SIZE='2', LOCAL_RANK='1', MASTER_PORT='5'))])
def test_rank_is_read_from_the_launcher(monkeypatch, launcher, variables, expected):
    for name in ('MASTER_ADDR', 'MASTER_PORT'):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert machine.rank_environment(launcher) == expected


def test_launcher_without_its_variables_is_explained(monkeypatch):
    monkeypatch.delenv('RANK', raising=False)
    with pytest.raises(ValueError, match='--launcher pytorch expects .* torchrun'):
        machine.rank_environment('pytorch')
    with pytest.raises(ValueError, match='SLURM_PROCID.*start the processes with srun'):
        machine.rank_environment('slurm')
