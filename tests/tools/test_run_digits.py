from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from mmengine.runner import Runner
from PIL import Image

from addp_mm.apis.model_source import find_shipped
from addp_mm.datasets.digits import write_digits
from addp_mm.own_images.trainings import Stage, chain_stages, run_stages
from addp_mm.visualization.curves import read_run

pytestmark = pytest.mark.slow

SHORT = {
    'train_cfg.max_epochs': 1,
    'train_cfg.val_interval': 1,
    'train_dataloader.batch_size': 8,
    'train_dataloader.dataset.indices': 16,
    'val_dataloader.batch_size': 4,
    'val_dataloader.dataset.indices': 8,
    'default_hooks.logger.interval': 1,
}


def load_tool(name: str) -> ModuleType:
    path = find_shipped(f'tools/{name}.py')
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a pipeline whose trainings were cut to two iterations each."""
    out = tmp_path_factory.mktemp('digits')
    stages = make_stages(out)
    write_digits(out / 'data')
    run_stages(stages[:1], lambda line: None)  # by its command, as a user's
    for stage in stages[1:]:  # here, for speed
        cfg = stage.cfg.copy()
        cfg.work_dir = str(stage.work_dir)
        Runner.from_cfg(cfg).train()
    return out


def make_stages(out: Path) -> list[Stage]:
    roots = {f'{part}_dataloader.dataset.data_root': str(out / 'data')
             for part in ('train', 'val')}
    return chain_stages(find_shipped('configs/digits'), out, {**roots, **SHORT})


@pytest.mark.parametrize(('configs', 'folder'), [('digits', 'digits'),
                                                ('digits/long', 'digits_long')])
def test_the_configs_need_no_options_in_their_default_folder(configs: str, folder: str):
    data = {'train_dataloader.dataset.data_root': 'work_dirs/digits/data'}
    stages = chain_stages(find_shipped(f'configs/{configs}'), Path(f'work_dirs/{folder}'), data)
    assert [stage.options for stage in stages] == [{}, {}, {}]
    assert [stage.cfg.work_dir for stage in stages] == [str(stage.work_dir) for stage in stages]


def test_each_stage_leaves_a_checkpoint_and_held_out_metrics(out: Path):
    expected = dict(vqgan={'reconstruction/psnr', 'codebook/in_use'},
                    mage={'token/cross_entropy_0.9', 'token/marginal_entropy'},
                    addp={'token/cross_entropy_0.9', 'token/marginal_entropy'})
    for stage in make_stages(out):
        assert stage.is_finished
        run = read_run(stage.work_dir)
        assert expected[stage.name] <= run.held_out.keys()
        assert 'loss' in run.train
        assert list(stage.work_dir.glob('*/vis_data/events.out.tfevents*'))


def test_the_tool_draws_and_says_what_is_next(out: Path, capsys: pytest.CaptureFixture,
                                              monkeypatch: pytest.MonkeyPatch):
    """All stages are finished: only the pictures are left to make."""
    monkeypatch.setattr('addp_mm.own_images.pictures.NUM_GENERATED', 4)
    monkeypatch.setattr('addp_mm.own_images.pictures.NUM_EDITED', 2)
    options = [f'{key}={value}' for key, value in SHORT.items()]
    load_tool('run_digits').main(['--work-dir', str(out), '--cfg-options', *options])
    said = capsys.readouterr().out
    assert said.count('already finished') == 3
    last = said[said.index('1797 handwritten digits'):].splitlines()
    assert len(last) <= 15
    assert str(out) in last[0]
    pictures = {path.name: Image.open(path).size for path in (out / 'pictures').iterdir()}
    assert set(pictures) == {'reconstructions.png', 'training_view.png', 'curves_vqgan.png',
                             'curves_mage.png', 'curves_addp.png', 'samples.png', 'steps.png',
                             'edits.png', 'worst.png'}
    assert min(min(size) for size in pictures.values()) > 60
