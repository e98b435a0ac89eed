from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image

from addp_mm.apis.model_source import find_shipped
from addp_mm.own_images import configs as stage_configs
from addp_mm.own_images import length as stage_length
from addp_mm.own_images import pictures, temperature
from addp_mm.own_images.quality import Verdict
from addp_mm.own_images.trainings import Stage, StageError


def load_tool(name: str) -> ModuleType:
    path = find_shipped(f'tools/{name}.py')
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def train_here(stage: Stage, say: Callable[[str], None], label: str = '') -> None:
    """``run_stage`` without a process of its own, for speed."""
    if not stage.is_finished:
        say(f'{label} trains')
        Runner.from_cfg(stage.cfg).train()


def measure_here(path: Path) -> float:
    """``measure_seconds_per_iter`` without a process of its own, for speed."""
    return stage_length.seconds_per_iter(Config.fromfile(path))


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight images in sizes of their own, and a broken one."""
    folder = tmp_path_factory.mktemp('images')
    generator = np.random.default_rng(0)
    for i in range(8):
        pixels = generator.integers(0, 256, (20 + i, 40, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f'{i}.png')
    (folder / 'broken.jpg').write_bytes(b'nothing')
    return folder


def run(tool: ModuleType, monkeypatch: pytest.MonkeyPatch, *args: str) -> None:
    tool.main(list(args))


@pytest.mark.slow
def test_one_command_trains_all_stages_and_reports(folder: Path, tmp_path: Path,
                                                   monkeypatch: pytest.MonkeyPatch,
                                                   capsys: pytest.CaptureFixture):
    tool = load_tool('train_from_folder')
    monkeypatch.setattr(tool, 'run_stage', train_here)
    monkeypatch.setattr(stage_configs, 'MIN_BATCHES', 3)
    # Workers of a runner in this process take seconds to end.
    monkeypatch.setattr(stage_configs, 'MAX_WORKERS', 0)
    monkeypatch.setattr(stage_length, 'PROBED_ITERS', 1)
    monkeypatch.setattr(stage_configs, 'measure_seconds_per_iter', measure_here)
    monkeypatch.setattr(pictures, 'NUM_GENERATED', 2)
    monkeypatch.setattr(pictures, 'NUM_EDITED', 1)
    monkeypatch.setattr(temperature, 'NUM_TRIED', 1)
    monkeypatch.setattr(temperature, 'TEMPERATURES', (8., ))
    args = str(folder), '--out', str(tmp_path / 'out'), '--size', '16', '--time-budget', '0.01'
    with pytest.raises(StageError, match='tokenizer is useless.*report.md'):
        run(tool, monkeypatch, *args)
    assert '**useless**' in (tmp_path / 'out' / 'report.md').read_text()
    assert not (tmp_path / 'out' / 'mage').exists()
    first = capsys.readouterr().out
    args = *args, '--use-useless-tokenizer'
    run(tool, monkeypatch, *args)
    said = first + capsys.readouterr().out
    assert '7 images to train with, 1 held out' in said
    assert 'unreadable, skipped: broken.jpg' in said
    report = (tmp_path / 'out' / 'report.md').read_text()
    links = re.findall(r'!\[.*?\]\((.*?)\)', report)
    assert len(links) == 10
    assert all((tmp_path / 'out' / link).is_file() for link in links)
    for words in ('broken.jpg', 'reconstruction/psnr', 'cross_entropy_0.9',
                  '-m addp_mm.cli.train', 'variation_kept_p10', 'hidden_pixels/explained',
                  'ADDP: **', '- samples: **'):
        assert words in report
    for stage in ('vqgan', 'mage', 'mae', 'addp'):
        cfg = Config.fromfile(tmp_path / 'out' / 'configs' / f'{stage}.py')
        assert cfg.train_cfg.max_epochs == 2
    assert cfg.model.sampler.num_steps == 4         # no more than an image has tokens

    assert '--temperature 8' in said and 'at temperature 8 within them' in report
    assert 'tools/prepare_annotations.py' in said and f'{tmp_path}/out/held_out.txt' in said

    files = {Path(link).stem: tmp_path / 'out' / link for link in links}
    # For speed.
    monkeypatch.setattr(tool, 'write_pictures', lambda *args, **kwargs: files)
    monkeypatch.setattr(tool, 'choose_temperature', lambda stage: 8.)
    monkeypatch.setattr(tool, 'write_generated',
                        lambda *args, **kwargs: ({}, Verdict('good', 'as before')))
    run(tool, monkeypatch, *args)
    assert '] trains' not in capsys.readouterr().out


def test_another_size_in_the_same_folder_is_refused(folder: Path, tmp_path: Path,
                                                    monkeypatch: pytest.MonkeyPatch):
    tool = load_tool('train_from_folder')
    monkeypatch.setattr(tool, 'run_stage', lambda *args: pytest.exit('trained'))
    out = tmp_path / 'out'
    tool.prepare_images(folder, out, 16, lambda line: None)
    with pytest.raises(ValueError, match='choose another --out'):
        run(tool, monkeypatch, str(folder), '--out', str(out), '--size', '32')
