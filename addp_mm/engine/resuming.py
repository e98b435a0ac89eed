"""What a run takes over from a checkpoint that it goes on from, and what it must not."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.dist import broadcast_object_list
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, FlexibleRunner, Runner
from torch.utils.data import BatchSampler

from ..checkpoints.run_settings import AVERAGES, Differences, changes_since, in_words
from ..datasets.numbered_sampler import number_indices

PROCESSES, EPOCH_LENGTH = 'num_processes', 'epoch_length'       # in a checkpoint's meta
_LENGTH_OF_RUN = ('optim_wrapper', 'param_scheduler', 'auto_scale_lr', 'train_cfg',
                  'train_dataloader', PROCESSES, EPOCH_LENGTH)


def describe_run(runner: Runner) -> dict[str, int]:
    """What a checkpoint's meta must hold beside mmengine's entries."""
    return {PROCESSES: runner.world_size, EPOCH_LENGTH: len(runner.train_dataloader)}


def check_is_training(checkpoint: Mapping[str, Any], path: str) -> None:
    """See that a checkpoint holds the state of a training.

    Raises:
        ValueError: If it holds weights only.
    """
    if 'optimizer' not in checkpoint or 'epoch' not in checkpoint.get('meta', {}):
        raise ValueError(f'{path} holds weights, but no state of a training that could be resumed: '
                         f'take them as start values with load_from={path}, without --resume.')


def check_model(runner: Runner, checkpoint: Mapping[str, Any]) -> None:
    """See that the weights in a checkpoint are those of the runner's model, none more or less.

    Raises:
        ValueError: If they are not.
    """
    if isinstance(runner, FlexibleRunner):      # its strategy compares them
        return
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    wanted = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    found = {name: tuple(t.shape) for name, t in checkpoint['state_dict'].items()}
    other = sorted(n for n in wanted.keys() | found.keys() if wanted.get(n) != found.get(n))
    if other:
        raise ValueError(
            f'{runner._load_from} was trained with another model: {len(other)} tensors differ, the '
            f'first is {other[0]} ({found.get(other[0], "missing")} in the file, '
            f'{wanted.get(other[0], "missing")} in the model). To start anew from its weights, '
            'choose another --work-dir and name the file in load_from.')


def changed_settings(runner: Runner, checkpoint: Mapping[str, Any]) -> Differences:
    """What decides over a run and is not as it was when a checkpoint was written."""
    meta = checkpoint['meta']
    found = changes_since(meta, runner.cfg)
    processes = meta.get(PROCESSES, runner.world_size)
    if processes != runner.world_size:
        found[PROCESSES] = processes, runner.world_size
    now = len(runner.train_dataloader)
    earlier = meta.get(EPOCH_LENGTH, now)
    if earlier != now and isinstance(runner._train_loop, EpochBasedTrainLoop):
        found[EPOCH_LENGTH] = earlier, now
    return found


def refuse_changes(runner: Runner, found: Differences) -> None:
    """Stop an automatic resuming that is not of the same run.

    Raises:
        ValueError: If anything differs.
    """
    if found:
        raise ValueError(
            f'{runner.work_dir} holds a run with other settings: {in_words(found)}.'
            f'{_of_images(found)} To train anew, choose another --work-dir; to go on with the new '
            'settings, pass --resume.')


def obey_changes(runner: Runner, checkpoint: dict[str, Any], found: Differences) -> None:
    """Let the present settings hold from a checkpoint on.

    The optimizer keeps what it has learned of the parameters; rates, decays and schedules become
    those that the present settings give for the iteration of the checkpoint.

    Args:
        runner: The runner, before it takes over the checkpoint.
        checkpoint: Changed in place.
        found: What differs.

    Raises:
        ValueError: If something differs that cannot be changed on the way.
    """
    if not found:
        return
    _refuse_unchangeable(runner, checkpoint, found)
    runner.logger.warning(f'Going on from {runner._load_from} with other settings: '
                          f'{in_words(found)}.')
    meta = checkpoint['meta']
    if 'randomness.seed' in found:
        meta['seed'] = runner._randomness_cfg.get('seed')
    if not any(name.startswith(_LENGTH_OF_RUN) for name in found):
        return
    if isinstance(runner._train_loop, EpochBasedTrainLoop) and not _inside_epoch(meta):
        meta['iter'] = meta['epoch'] * len(runner.train_dataloader)
    _forward_schedules(runner, meta['iter'])
    saved = checkpoint['optimizer']
    for wrapper, state in _pairs(runner.optim_wrapper, saved):
        state['param_groups'] = _regrouped(wrapper, state)
        if wrapper.base_param_settings is not None:
            state['base_param_settings'] = wrapper.base_param_settings
    schedules = runner.param_schedulers
    if isinstance(schedules, dict):
        checkpoint['param_schedulers'] = {
            name: [s.state_dict() for s in part] for name, part in schedules.items()}
    elif schedules is not None:
        checkpoint['param_schedulers'] = [s.state_dict() for s in schedules]


def start_inside_epoch(runner: Runner) -> None:
    """Leave out the images of the present epoch that were trained on before the interruption."""
    loop = runner.train_loop
    if not isinstance(loop, EpochBasedTrainLoop):
        return
    done = loop.iter - loop.epoch * len(loop.dataloader)
    if done <= 0:
        return
    loader, run_iter = loop.dataloader, loop.run_iter
    number_indices(loader).skip = done * loader.batch_sampler.batch_size
    loop.run_iter = lambda idx, data_batch: run_iter(idx + done, data_batch)
    runner.logger.info(f'Epoch {loop.epoch + 1} goes on behind its iteration {done} of '
                       f'{len(loader)}.')


def end_of_epoch(runner: Runner) -> None:
    """Count the iterations of the next epoch from its first one."""
    vars(runner.train_loop).pop('run_iter', None)


def can_stop(runner: Runner) -> bool:
    """Whether a run could go on from a checkpoint behind the present iteration."""
    wrapper = runner.optim_wrapper
    parts = wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]
    by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
    is_plain = type(runner.train_dataloader.batch_sampler) is BatchSampler
    return all(part.should_update() for part in parts) and (is_plain or not by_epoch)


def lacks_validation(runner: Runner, last: int | None) -> bool:
    """Whether the validation that follows the present iteration has not taken place.

    Args:
        runner: The runner, which was resumed.
        last: Iteration of the last validation, None if there was none; of the main process.
    """
    loop = runner.train_loop
    if runner.val_loop is None or not loop.iter:
        return False
    by_epoch = isinstance(loop, EpochBasedTrainLoop)
    if by_epoch and loop.iter != loop.epoch * len(loop.dataloader):
        return False
    loop._decide_current_val_interval()
    step, end = (loop.epoch, loop.max_epochs) if by_epoch else (loop.iter, loop.max_iters)
    is_due = step >= loop.val_begin and (step % loop.val_interval == 0 or step == end)
    known = [last]
    broadcast_object_list(known)
    return is_due and known[0] != loop.iter


def is_complete(loop: BaseLoop) -> bool:
    """Whether a loop has nothing left to do."""
    if isinstance(loop, EpochBasedTrainLoop):
        return loop.epoch >= loop.max_epochs
    return loop.iter >= loop.max_iters


def _refuse_unchangeable(runner: Runner, checkpoint: Mapping[str, Any],
                         found: Differences) -> None:
    fixed = [name for name in found if name.startswith('optim_wrapper') and (
        name.endswith('optimizer.type') or '.constructor' in name)]
    # Checkpoints hold the averages as the weights: without the hook they would be trained on.
    fixed += [name for name in found if name.startswith(AVERAGES) and name.endswith('type')]
    same = not isinstance(runner, FlexibleRunner) and all(
        [len(g['params']) for g in wrapper.optimizer.param_groups]
        == [len(g['params']) for g in state['param_groups']]
        for wrapper, state in _pairs(runner.optim_wrapper, checkpoint['optimizer']))
    if isinstance(runner, FlexibleRunner) or not same:
        fixed = fixed or [name for name in found if name.startswith(_LENGTH_OF_RUN)]
    if EPOCH_LENGTH in found and _inside_epoch(checkpoint['meta']):
        fixed = [EPOCH_LENGTH, *fixed]
    if fixed:
        raise ValueError(
            f'{runner._load_from} cannot be resumed with another setting of {", ".join(fixed)}: '
            f'keep it ({in_words(found)}), or start anew from the weights: another --work-dir, '
            f'load_from={runner._load_from}.{_of_images(found)}')


def _of_images(found: Differences) -> str:
    """A sentence where the images have changed behind the same settings."""
    if EPOCH_LENGTH not in found or any(name.startswith(('train_dataloader', PROCESSES))
                                        for name in found):
        return ''
    earlier, now = found[EPOCH_LENGTH]
    return (f' An epoch had {earlier} iterations, now it has {now}: there are other images than '
            'before in the same place; put the earlier ones back.')


def _inside_epoch(meta: Mapping[str, Any]) -> bool:
    length = meta.get(EPOCH_LENGTH)
    return length is not None and 0 < meta['iter'] - meta['epoch'] * length < length


def _pairs(wrapper: OptimWrapper | OptimWrapperDict,
           state: dict[str, Any]) -> Iterator[tuple[OptimWrapper, dict[str, Any]]]:
    """Each optimizer wrapper with its saved state."""
    if isinstance(wrapper, OptimWrapperDict):
        yield from ((part, state[name]) for name, part in wrapper.items() if name in state)
    else:
        yield wrapper, state


def _regrouped(wrapper: OptimWrapper, state: Mapping[str, Any]) -> list[dict[str, Any]]:
    pairs = zip(state['param_groups'], wrapper.optimizer.param_groups, strict=True)
    return [{**saved, **now, 'params': saved['params']} for saved, now in pairs]


def _forward_schedules(runner: Runner, iteration: int) -> None:
    """Bring fresh schedules to an iteration, as the runs' hooks would have."""
    schedules = runner.param_schedulers or []
    several = schedules.values() if isinstance(schedules, dict) else [schedules]
    every = [schedule for part in several for schedule in part]
    length = len(runner.train_dataloader)
    by_epoch = [s for s in every if s.by_epoch] if isinstance(
        runner._train_loop, EpochBasedTrainLoop) else []
    by_iteration = [s for s in every if not s.by_epoch]
    for done in range(1, iteration + 1):
        for schedule in by_iteration:
            schedule.step()
        if done % length == 0:
            for schedule in by_epoch:
                schedule.step()
