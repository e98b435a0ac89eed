from __future__ import annotations

import os
import signal
import textwrap
import time
from pathlib import Path

import pytest
import torch

from addp_mm.checkpoints.weight_files import sha256_of
from addp_mm.own_images.training_log import StageLog, explain_failure
from addp_mm.own_images.trainings import Stage, StageError, chain_stages, run_stages

CONFIG = 'train_cfg = dict(by_epoch=True, max_epochs=2)\nmodel = {model}\n'
FROZEN = {'data_preprocessor': {'tokenizer': {'checkpoint': 'default.pth'}}}
# Stands in for tools/train.py: the log lines of mmengine, one checkpoint per epoch.
TRAINER = """
    import os, pathlib, shutil, sys, time
    work_dir = pathlib.Path(sys.argv[sys.argv.index('--work-dir') + 1])
    for epoch in (1, 2):
        print(f'11/24 20:33:38 - mmengine - INFO - Epoch(train)  [{epoch}][23/23]  lr: 1.0e-03  '
              f'eta: 0:0{3 - epoch}:00  time: 0.1  data_time: 0.0  loss: 0.{epoch}  extra: 1.0')
        print('11/24 20:33:38 - mmengine - INFO - Epoch(val) [1][3/3]    token/ce: 2.5  '
              'token/entropy: 4.0  data_time: 0.01  time: 0.2')
        EXTRA
    shutil.copy('CHECKPOINT', work_dir / 'epoch_2.pth')
"""


def write_chain(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    predictor = {'token_predictor': {'checkpoint': 'default.pth'}}
    addp = {'data_preprocessor': FROZEN['data_preprocessor'] | predictor}
    for name, model in (('vqgan', {}), ('mage', FROZEN), ('addp', addp)):
        (folder / f'{name}.py').write_text(CONFIG.format(model=model))
    return folder


def make_stages(tmp_path: Path, extra: str = 'pass') -> list[Stage]:
    trainer, checkpoint = tmp_path / 'train.py', tmp_path / 'any.pth'
    torch.save(dict(meta={}, state_dict={'w': torch.zeros(1)}), checkpoint)
    text = textwrap.dedent(TRAINER).replace('EXTRA', extra).replace('CHECKPOINT', str(checkpoint))
    trainer.write_text(text)
    stages = chain_stages(write_chain(tmp_path / 'configs'), tmp_path / 'out', {})
    return [Stage(s.name, s.config, s.work_dir, s.options, [str(trainer)]) for s in stages]


def test_later_stages_are_fed_with_the_checkpoints_of_earlier_ones(tmp_path: Path):
    vqgan, mage, addp = chain_stages(write_chain(tmp_path), tmp_path / 'out', {'train_cfg.x': 3})
    assert vqgan.options == {'train_cfg.x': 3}
    assert addp.options == {
        'train_cfg.x': 3,
        'model.data_preprocessor.tokenizer.checkpoint': str(tmp_path / 'out/vqgan/epoch_2.pth'),
        'model.data_preprocessor.token_predictor.checkpoint': str(tmp_path / 'out/mage/epoch_2.pth')
    }
    assert mage.command[1:] == [
        '-m', 'addp_mm.cli.train', str(tmp_path / 'mage.py'), '--work-dir',
        str(tmp_path / 'out/mage'), '--cfg-options',
        'model.data_preprocessor.tokenizer.checkpoint=' + str(tmp_path / 'out/vqgan/epoch_2.pth'),
        'train_cfg.x=3']


def test_the_start_of_an_encoder_is_kept(tmp_path: Path):
    write_chain(tmp_path)
    start = {'backbone': {'init_cfg': {'checkpoint': 'mine.pth'}}}
    (tmp_path / 'addp.py').write_text(CONFIG.format(model=start))
    assert chain_stages(tmp_path, tmp_path / 'out', {})[-1].options == {}


def test_options_that_the_config_has_anyway_are_left_out(tmp_path: Path):
    stages = chain_stages(write_chain(tmp_path), tmp_path, {'train_cfg.max_epochs': 2})
    assert stages[0].options == {}


def test_iterations_count_where_the_loop_counts_them(tmp_path: Path):
    config = tmp_path / 'a.py'
    config.write_text('train_cfg = dict(by_epoch=False, max_iters=70)')
    assert Stage('a', config, tmp_path).checkpoint == tmp_path / 'iter_70.pth'


def test_stages_run_in_order_once_and_say_how_far_they_are(tmp_path: Path):
    said: list[str] = []
    stages = make_stages(tmp_path)
    run_stages(stages, said.append)
    assert [line for line in said if 'epoch 2' in line] == [
        f'[{i}/3 {title}] epoch 2 batch 23/23  loss 0.200  0:01:00 left'
        for i, title in enumerate(('tokenizer', 'token predictor', 'ADDP'), 1)]
    assert said[-1].startswith('[3/3 ADDP] done in 0:0')
    assert said[-1].endswith('token/ce 2.5  token/entropy 4.0')
    logs = [stage.log.read_text() for stage in stages]

    said.clear()
    stages[1].checkpoint.unlink()  # was stopped in here
    run_stages(stages, said.append)
    assert 'already finished' in said[0] and 'already finished' in said[-1]
    grown = [stage.log.read_text() != log for stage, log in zip(stages, logs, strict=True)]
    assert grown == [False, True, False]


def test_a_failing_stage_stops_the_chain_with_its_reason(tmp_path: Path):
    stages = make_stages(tmp_path, "raise OSError(28, 'No space left on device')")
    with pytest.raises(StageError, match='(?s)tokenizer.*No space left.*disk is full.*train.log'):
        run_stages(stages, lambda line: None)
    assert not stages[1].work_dir.exists()


def test_a_trainer_without_a_checkpoint_has_failed(tmp_path: Path):
    with pytest.raises(StageError, match='The end of its log'):
        run_stages(make_stages(tmp_path, 'sys.exit(0)'), lambda line: None)


def test_a_killed_trainer_is_explained(tmp_path: Path):
    with pytest.raises(StageError, match='signal 9'):
        run_stages(make_stages(tmp_path, 'os.kill(os.getpid(), 9)'), lambda line: None)


def test_weights_of_another_tokenizer_are_found_out(tmp_path: Path):
    stages = make_stages(tmp_path)
    run_stages(stages[:2], lambda line: None)
    digest = sha256_of(stages[0].checkpoint)
    save_with_hash(stages[1].checkpoint, digest)
    run_stages(stages[:2], lambda line: None)
    save_with_hash(stages[1].checkpoint, 'another')
    with pytest.raises(StageError, match='trained with another tokenizer'):
        run_stages(stages[:2], lambda line: None)


@pytest.mark.parametrize('text, message', [
    ('train_cfg = dict(by_epoch=True, max_epochs=2)\nmodel = dict(depth=1)',
     r'other settings than those of .*vqgan.py: model.depth 1, now 2. Remove .*vqgan to train'),
    ('train_cfg = dict(by_epoch=True, max_epochs=2)\n'
     "model = dict(depth=2, start='b/start.pth')", None),
    ('train_cfg = dict(by_epoch=True, max_epochs=2)\n'
     "model = dict(depth=2, start='b/other.pth')", 'model.start')])
def test_a_training_with_other_settings_is_not_taken_for_finished(
        text: str, message: str | None, tmp_path: Path):
    stage = make_stages(tmp_path)[0]
    start = 'a/start.pth' if 'start' in text else None
    stage.config.write_text(CONFIG.format(model={'depth': 2, 'start': start}))
    run_stages([stage], lambda line: None)
    torch.save(dict(meta=dict(cfg=text), state_dict={}), stage.checkpoint)
    if message is None:     # the folder was moved
        run_stages([stage], lambda line: None)
    else:
        with pytest.raises(StageError, match=f'(?s){message}'):
            run_stages([stage], lambda line: None)


def test_other_start_values_are_found_out(tmp_path: Path):
    stage, start = make_stages(tmp_path)[0], tmp_path / 'start.pth'
    torch.save({'w': torch.zeros(1)}, start)
    stage.config.write_text(
        CONFIG.format(model={'backbone': {'init_cfg': {'checkpoint': str(start)}}}))
    run_stages([stage], lambda line: None)
    meta = dict(start_values={'backbone': sha256_of(start)})
    torch.save(dict(meta=meta, state_dict={}), stage.checkpoint)
    run_stages([stage], lambda line: None)
    torch.save({'w': torch.ones(1)}, start)
    with pytest.raises(StageError, match='trained with another backbone than .*start.pth'):
        run_stages([stage], lambda line: None)


def save_with_hash(path: Path, digest: str) -> None:
    meta = dict(frozen_weights={'data_preprocessor.tokenizer': digest})
    torch.save(dict(meta=meta, state_dict={'w': torch.zeros(1)}), path)


def test_a_trainer_whose_caller_was_killed_keeps_others_out(tmp_path: Path):
    stages = make_stages(tmp_path, "print('pid', os.getpid(), flush=True); time.sleep(20)")
    trainer = stop_caller(stages, signal.SIGKILL)
    try:
        with pytest.raises(StageError, match='Another process trains'):
            run_stages(stages, lambda line: None)
    finally:
        os.kill(trainer, signal.SIGKILL)


def test_ctrl_c_ends_the_trainer_too(tmp_path: Path):
    stages = make_stages(tmp_path, "print('pid', os.getpid(), flush=True); time.sleep(20)")
    trainer = stop_caller(stages, signal.SIGINT)
    with pytest.raises(ProcessLookupError):
        os.kill(trainer, 0)


def stop_caller(stages: list[Stage], number: int) -> int:
    """Run stages in another process, send it a signal, and return the trainer's process."""
    caller = os.fork()
    if not caller:
        try:
            run_stages(stages, lambda line: None)
        finally:
            os._exit(0)
    trainer = wait_for_pid(stages[0].log)
    os.kill(caller, number)
    os.waitpid(caller, 0)
    return trainer


def wait_for_pid(log: Path) -> int:
    for _ in range(600):
        lines = log.read_text().splitlines() if log.exists() else []
        for line in lines:
            if line.startswith('pid '):
                return int(line.split()[1])
        time.sleep(0.05)
    raise AssertionError('the trainer did not start')


def test_progress_is_not_said_more_often_than_wanted(tmp_path: Path):
    path, said = tmp_path / 'log', []
    log = StageLog(path, interval=1000)
    for step in range(3):
        with path.open('a') as file:
            file.write(f'x - Iter(train) [ {step}/70]  lr: 1  eta: 1 day, 0:00:01  loss: 2\n')
        log.report(said.append)
    assert said == ['iteration 0/70  loss 2.000  1 day, 0:00:01 left']


def test_what_training_survives_is_said_once(tmp_path: Path):
    path, said = tmp_path / 'log', []
    path.write_text('x - ERROR - an earlier run\n')
    log = StageLog(path)
    with path.open('a') as file:
        file.write('x - WARNING - "FileClient" is deprecated\n'
                   'x - ERROR - Unreadable image, skipped: a.jpg\n' * 2 +
                   'x - WARNING - The codebook collapses\n'
                   'x - ERROR - half a li')
    log.report(said.append)
    assert said == ['Unreadable image, skipped: a.jpg', 'The codebook collapses']


@pytest.mark.parametrize(('end', 'expected'), [
    ('Traceback\n  File "x"\nValueError: take another one', 'ValueError: take another one\n'),
    ('error: take another one\nend', 'error: take another one\n'),
    ('torch.OutOfMemoryError: CUDA out of memory.', 'smaller train_dataloader.batch_size'),
    ('nothing known', 'The end of its log:\nstart\nnothing known'),
])
def test_the_reason_of_a_failure_is_found_in_the_log(tmp_path: Path, end: str, expected: str):
    path = tmp_path / 'train.log'
    path.write_text('start\n' + end)
    assert expected in explain_failure(path, 1)
