"""AtomicCheckpointHook: whatever happens, there is a whole checkpoint, and it is found."""
from __future__ import annotations

import multiprocessing
import resource
import shutil
import signal
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from mmengine.fileio import BaseStorageBackend, FileClient, register_backend
from mmengine.hooks import Hook
from mmengine.runner import FlexibleRunner, Runner

from addp_mm.checkpoints import is_whole
from addp_mm.checkpoints.weight_files import load_checkpoint
from addp_mm.engine.hooks import AtomicCheckpointHook
from tests.helpers.tiny_training import hook_of, make_config, write_images


class LimitFileSize(Hook):
    """Lets no file grow beyond half a checkpoint from a certain epoch on."""

    def __init__(self, epoch: int, dies: bool) -> None:
        self.epoch = epoch
        self.dies = dies

    def after_train_epoch(self, runner: Runner) -> None:
        if runner.epoch + 1 == self.epoch:
            size = (Path(runner.work_dir) / f'epoch_{runner.epoch}.pth').stat().st_size
            if self.dies:   # the kernel ends the process inside its write(), as kill -9 would
                signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, resource.RLIM_INFINITY))


def train(work_dir: Path, images: Path, **changes) -> Runner:
    runner = Runner(**{**make_config(work_dir, images), **changes})
    runner.train()
    return runner


def train_and_die(work_dir: Path, images: Path) -> None:
    train(work_dir, images, custom_hooks=[LimitFileSize(epoch=3, dies=True)])


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_images(tmp_path / 'images', count=2)


@pytest.fixture
def unlimited() -> Iterator[None]:
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@pytest.fixture(scope='module')
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('original')
    train(folder / 'run', write_images(folder / 'images', count=2))
    return folder / 'run'


@pytest.fixture
def finished(original: Path, tmp_path: Path) -> Path:
    """The work folder of a run of 3 epochs."""
    folder = Path(shutil.copytree(original, tmp_path / 'run'))
    (folder / 'last_checkpoint').write_text(str(folder / 'epoch_3.pth'))
    return folder


def resumed_from(work_dir: Path, images: Path, **changes) -> str | None:
    """The checkpoint that a run with `resume = True` would go on from."""
    runner = Runner(**{**make_config(work_dir, images), 'resume': True, **changes})
    assert runner.train_loop is not None
    hook_of(runner, 'AtomicCheckpointHook').before_run(runner)
    assert runner._resume == (runner._load_from is not None)
    return runner._load_from


def test_death_while_writing_leaves_the_last_checkpoint_whole(tmp_path, images):
    work_dir = tmp_path / 'run'
    child = multiprocessing.get_context('fork').Process(
        target=train_and_die, args=(work_dir, images))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGXFSZ
    assert sorted(p.name for p in work_dir.glob('*.pth')) == ['epoch_1.pth', 'epoch_2.pth']
    assert len(list(work_dir.glob('.*.partial'))) == 1
    assert all(map(is_whole, work_dir.glob('*.pth')))
    runner = train(work_dir, images, resume=True)
    assert runner._load_from == str(work_dir / 'epoch_2.pth')
    assert is_whole(work_dir / 'epoch_3.pth')
    assert list(work_dir.glob('.*.partial')) == []


def test_full_disk_is_explained_and_spares_earlier_checkpoints(tmp_path, images, unlimited):
    with pytest.raises(OSError, match=r'Could not write .*epoch_3\.pth: .*GB are free'):
        train(tmp_path, images, custom_hooks=[LimitFileSize(epoch=3, dies=False)])
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert sorted(p.name for p in tmp_path.glob('*.pth')) == ['epoch_1.pth', 'epoch_2.pth']
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'epoch_2.pth')
    assert list(tmp_path.glob('.*.partial')) == []


def test_oldest_is_removed_after_the_pointer_is_turned(tmp_path, images):
    order = []
    runner = Runner(**make_config(tmp_path, images) | dict(default_hooks=dict(
        checkpoint=dict(type='AtomicCheckpointHook', interval=1, max_keep_ckpts=1))))
    hook = hook_of(runner, 'AtomicCheckpointHook')
    hook.before_train(runner)
    put, remove = hook.file_backend.put, hook.file_backend.remove
    hook.file_backend.put = lambda obj, path: (order.append(Path(path).name), put(obj, path))
    hook.file_backend.remove = lambda path: (order.append(f'-{Path(path).name}'), remove(path))
    hook.before_train = lambda runner: None
    runner.train()
    assert order == ['last_checkpoint', 'last_checkpoint', '-epoch_1.pth', 'last_checkpoint',
                     '-epoch_2.pth']
    assert sorted(p.name for p in tmp_path.glob('*.pth')) == ['epoch_3.pth']


def test_milestones_stay_beside_the_latest(tmp_path, images):
    checkpoint = dict(type='AtomicCheckpointHook', interval=1, max_keep_ckpts=1,
                      milestone_interval=2)
    train(tmp_path / 'run', images, default_hooks=dict(checkpoint=checkpoint),
          train_cfg=dict(by_epoch=True, max_epochs=5))
    kept = sorted(path.name for path in (tmp_path / 'run').glob('epoch_*.pth'))
    assert kept == ['epoch_2.pth', 'epoch_4.pth', 'epoch_5.pth']


def test_milestone_without_a_checkpoint_is_refused():
    with pytest.raises(ValueError, match='multiple of interval, 3, .* got 4'):
        AtomicCheckpointHook(interval=3, milestone_interval=4)


@pytest.mark.parametrize('damage', ['cut', 'flip', 'empty', 'gone'])
def test_broken_checkpoint_is_passed_over(finished, images, damage):
    last = finished / 'epoch_3.pth'
    content = last.read_bytes()
    if damage == 'cut':
        last.write_bytes(content[:-100])
    elif damage == 'flip':      # one byte of a tensor; the length and the table of contents stay
        with zipfile.ZipFile(last) as archive:
            place = next(i.header_offset for i in archive.infolist() if '/data/0' in i.filename)
        place = content.index(b'FB', place) + 200       # behind the padding
        last.write_bytes(content[:place] + bytes([content[place] ^ 255]) + content[place + 1:])
    elif damage == 'empty':
        last.write_bytes(b'')
    else:
        last.unlink()
    assert resumed_from(finished, images) == str(finished / 'epoch_2.pth')


def test_moved_run_is_resumed_in_its_new_place(finished, images, tmp_path):
    moved = tmp_path / 'elsewhere'
    shutil.move(finished, moved)
    assert resumed_from(moved, images) == str(moved / 'epoch_3.pth')


@pytest.mark.parametrize('pointer', ['', None])
def test_lost_pointer_still_finds_the_newest(finished, images, pointer):
    (finished / 'last_checkpoint').unlink()
    if pointer is not None:
        (finished / 'last_checkpoint').write_text(pointer)
    assert resumed_from(finished, images) == str(finished / 'epoch_3.pth')


def test_newer_files_than_the_pointer_says_are_of_another_run(finished, images):
    (finished / 'last_checkpoint').write_text(str(finished / 'epoch_2.pth'))
    assert resumed_from(finished, images) == str(finished / 'epoch_2.pth')
    (finished / 'epoch_2.pth').write_bytes(b'')
    assert resumed_from(finished, images) == str(finished / 'epoch_1.pth')


def test_without_checkpoint_training_starts_anew(tmp_path, images):
    assert resumed_from(tmp_path / 'new', images) is None
    runner = train(tmp_path / 'new', images, resume=True)
    assert runner.epoch == 3


def test_out_dir_is_searched_and_used(tmp_path, images):
    hooks = dict(default_hooks=dict(checkpoint=dict(
        type='AtomicCheckpointHook', interval=1, out_dir=str(tmp_path / 'out'))))
    train(tmp_path / 'run', images, **hooks)
    assert resumed_from(tmp_path / 'run', images, **hooks) == str(
        tmp_path / 'out' / 'run' / 'epoch_3.pth')


def test_evaluation_loads_and_does_not_resume(finished, images):
    runner = Runner(**make_config(finished, images) | dict(resume=True))
    hook_of(runner, 'AtomicCheckpointHook').before_run(runner)
    assert not runner._resume
    assert runner._load_from == str(finished / 'epoch_3.pth')


def test_best_checkpoint_is_replaced_after_the_new_one_is_written(tmp_path, images):
    runner = Runner(**make_config(tmp_path, images) | dict(default_hooks=dict(checkpoint=dict(
        type='AtomicCheckpointHook', interval=1, save_best='acc'))))
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.param_schedulers = None
    hook = hook_of(runner, 'AtomicCheckpointHook')
    hook.before_train(runner)
    hook.after_val_epoch(runner, dict(acc=1.))
    first = Path(hook.best_ckpt_path)
    assert is_whole(first)
    hook.after_val_epoch(runner, dict(acc=2.))      # the same epoch, and so the same name
    assert Path(hook.best_ckpt_path) == first and is_whole(first)
    runner.train_loop._epoch = 1
    hook.after_val_epoch(runner, dict(acc=3.))
    assert is_whole(hook.best_ckpt_path) and not first.exists()


class Bucket(BaseStorageBackend):
    """A storage that is no local folder, as far as the hook can see."""

    root: Path

    def put(self, obj: bytes, filepath: str) -> None:
        self._place(filepath).write_bytes(obj)

    def get(self, filepath: str) -> bytes:
        return self._place(filepath).read_bytes()

    def get_text(self, filepath: str, encoding: str = 'utf-8') -> str:
        return self.get(filepath).decode(encoding)

    def join_path(self, first: str, *others: str) -> str:
        return '/'.join([first, *others])

    def _place(self, filepath: str) -> Path:
        return self.root / filepath.removeprefix('bucket://').replace('/', '-')


def test_remote_storage_gets_mmengines_behaviour(tmp_path, images):
    register_backend('bucket', Bucket, prefixes='bucket', force=True)
    FileClient.register_backend('bucket', Bucket, prefixes='bucket', force=True)
    Bucket.root = tmp_path
    hooks = dict(default_hooks=dict(checkpoint=dict(
        type='AtomicCheckpointHook', interval=1,
        out_dir='bucket://out', backend_args=dict(backend='bucket'))))
    runner = train(tmp_path / 'run', images, **hooks)
    assert is_whole(tmp_path / 'out-run-epoch_3.pth')
    assert (tmp_path / 'run' / 'last_checkpoint').read_text() == 'bucket://out/run/epoch_3.pth'
    runner = Runner(**make_config(tmp_path / 'run', images) | dict(resume=True) | hooks)
    assert runner.train_loop is not None
    hook_of(runner, 'AtomicCheckpointHook').before_run(runner)
    assert runner._resume and runner._load_from is None
    hooks['default_hooks']['checkpoint']['milestone_interval'] = 2
    with pytest.raises(ValueError, match='written to bucket://out/run by mmengine'):
        train(tmp_path / 'run', images, **hooks)


def test_flexible_runner_writes_its_own_way(tmp_path: Path, images: Path):
    config = make_config(tmp_path / 'run', images)
    FlexibleRunner(**config, env_cfg={}, launcher='none').train()
    path = tmp_path / 'run' / 'epoch_3.pth'
    assert (tmp_path / 'run' / 'last_checkpoint').read_text() == str(path)
    assert 'conv.weight' in load_checkpoint(path)['state_dict']
