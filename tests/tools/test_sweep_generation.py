"""The command line that measures images over settings of the sampler."""
from __future__ import annotations

import csv
import fcntl
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

pytest.importorskip('torch_fidelity', reason='torch-fidelity is not installed')
from addp_mm.apis.inferencer import ADDPInferencer
from addp_mm.evaluation.feature_extractor import FeatureExtractor, MetricFeatures
from addp_mm.evaluation.generation_scores import ReferenceFeatures, score
from addp_mm.studies import sampler_sweep as sweep_module
from addp_mm.studies.sampler_sweep import sweep_samplers
from tests.helpers.tiny import build_model, tiny_addp_cfg
from tests.helpers.tiny_features import NAME, random_images, write_png
from tests.helpers.tools import run_tool

IMAGES = 12


@pytest.fixture
def model(tmp_path: Path) -> tuple[Path, Path]:
    """Config and checkpoint of a tiny ADDP."""
    cfg = tiny_addp_cfg(tmp_path)
    Config(dict(model=cfg, default_scope='mmpretrain')).dump(tmp_path / 'addp.py')
    torch.save(dict(state_dict=build_model(cfg).state_dict()), tmp_path / 'addp.pth')
    return tmp_path / 'addp.py', tmp_path / 'addp.pth'


@pytest.fixture
def tool(model: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
         capsys: pytest.CaptureFixture):
    """Run the tool in this process, in parts of 5 images; gives its exit code and output."""
    monkeypatch.setattr(sweep_module, 'PART', 5)
    reference = write_png(tmp_path / 'reference', random_images(15, seed=2, size=32))

    def run(name: str, *arguments: object) -> tuple[int, str, str]:
        words = [name, *model, '--reference', reference, '--out', tmp_path / 'out',
                 '--device', 'cpu', '--num-images', IMAGES, '--extractor', NAME,
                 '--import', 'tests.helpers.tiny_features', '--no-cache', *arguments]
        return run_tool('sweep_generation', *words), *capsys.readouterr()

    return run


def expected(model: tuple[Path, Path], **sampler: object) -> dict[str, float]:
    """The scores of one point: generate, then compare."""
    extract = MetricFeatures(extractor=FeatureExtractor(NAME))
    images = ADDPInferencer(*model, device='cpu').generate(IMAGES, seed=0, **sampler)
    features = [extract(torch.from_numpy(part).permute(0, 3, 1, 2))
                for part in (images, random_images(15, seed=2, size=32))]
    return score(features[0], ReferenceFeatures.from_features(features[1]))


def test_steps_under_both_schedules(tool, model: tuple[Path, Path], tmp_path: Path):
    code, printed, _ = tool('steps', '--values', 2, 5, '--batch-size', 4)
    out = tmp_path / 'out'
    assert code == 0 and printed.splitlines()[-1] == str(out / 'steps.md')
    rows = list(csv.DictReader((out / 'steps.csv').open()))
    assert [(row['schedule'], row['num_steps']) for row in rows] == [
        ('cosine', '2'), ('cosine', '5'), ('linear', '2'), ('linear', '5')]
    for row in rows[1:3]:
        wanted = expected(model, schedule=row['schedule'], num_steps=int(row['num_steps']))
        assert {name: float(row[name]) for name in wanted} == pytest.approx(wanted, rel=1e-4)
    table = (out / 'steps.md').read_text()
    assert '| cosine | 5 |' in table and 'comparable only' in table
    assert np.asarray(Image.open(out / 'steps.png')).std() > 10
    record = json.loads(next((out / 'points').glob('*cosine*.json')).read_text())
    assert len(record['generated']['checkpoint_sha256']) == 64
    assert record['generated']['seed'] == 0 and record['reference']['num_images'] == 15


def test_goes_on_where_it_was_stopped(tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    generated = []
    generate = ADDPInferencer.generate_batches

    def stop_in_the_second_part(self, indices, *args, **kwargs):
        generated.append(indices)
        if len(generated) == 2:
            raise KeyboardInterrupt
        return generate(self, indices, *args, **kwargs)

    monkeypatch.setattr(ADDPInferencer, 'generate_batches', stop_in_the_second_part)
    code, _, errors = tool('top-p', '--values', 0.5, '--steps', 2)
    assert code == 130 and 'same command again' in errors
    assert tool('top-p', '--values', 0.5, '--steps', 2)[0] == 0
    assert generated == [range(5), range(5, 10), range(5, 10), range(10, 12)]
    assert not list((tmp_path / 'out').rglob('*.safetensors'))
    stopped = (tmp_path / 'out' / 'top-p.csv').read_text()
    # A finished point is not made again; another sweep may share it.
    assert tool('top-p', '--values', 0.5, '--steps', 2)[0] == 0 and len(generated) == 4
    (tmp_path / 'out').rename(tmp_path / 'stopped')
    assert tool('top-p', '--values', 0.5, '--steps', 2)[0] == 0
    assert (tmp_path / 'out' / 'top-p.csv').read_text() == stopped


def test_too_few_images_are_seen_before_any_work(tool, tmp_path: Path):
    code, _, errors = tool('top-p', '--num-images', 9)
    assert code == 2 and "'is' needs at least 10 images in each set, got 9" in errors
    assert not (tmp_path / 'out').exists()


def test_processes_share_the_work(tool, tmp_path: Path):
    flags = ('temperature', '--values', 2, '--steps', 2, '--static-temperature')
    code, _, errors = tool(*flags)
    assert code == 2 and "changes ['dynamic']" in errors
    flags = flags[:-1]
    assert tool(*flags)[0] == 0
    point = next((tmp_path / 'out' / 'points').glob('*dynamic-True*.json'))
    whole = point.read_text()
    point.unlink()
    folder = point.with_suffix('')
    folder.mkdir()
    with (folder / '000005.lock').open('w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        code, printed, _ = tool(*flags)
        assert code == 0 and 'another process works' in printed
        assert sorted(path.name for path in folder.glob('*.safetensors')) == [
            '000000.safetensors', '000010.safetensors']
    assert tool(*flags)[0] == 0
    assert json.loads(point.read_text())['scores'] == json.loads(whole)['scores']


def test_another_run_in_the_folder_is_refused(tool, tmp_path: Path):
    assert tool('top-p', '--values', 1, '--steps', 2)[0] == 0
    code, _, errors = tool('top-p', '--values', 1, '--steps', 2, '--seed', 3)
    assert code == 2 and 'other settings (seed 0, now 3; ' in errors and errors.count('\n') == 1
    assert '(model.neck.num_heads ' in tool('top-p', '--values', 1, '--steps', 2, '--cfg-options',
                                            'model.neck.num_heads=1')[2]
    (tmp_path / 'reference' / '000000.png').unlink()
    assert 'other settings (reference.' in tool('top-p', '--values', 1, '--steps', 2)[2]
    (tmp_path / 'out' / 'settings.json').unlink()
    assert 'other files' in tool('top-p', '--values', 1, '--steps', 2)[2]


@pytest.mark.parametrize(('arguments', 'message'), [
    (('steps', '--values', 17), 'at most the number of tokens'),
    (('steps', '--values', 2.5), 'integers'), (('steps', '--values', 'inf'), 'integers'),
    (('steps', '--values', 'nan'), 'integers'),
    (('steps', '--steps', 4), "changes ['num_steps']"),
    (('top-p', '--values', 0), 'top_p'),
    (('top-p', '--num-images', 0), 'at least 1, got 0'),
])
def test_bad_input_is_one_line(tool, tmp_path: Path, arguments: tuple, message: str):
    code, _, errors = tool(*arguments)
    assert code == 2 and errors.startswith('error: ') and message in errors
    assert errors.count('\n') == 1 and not (tmp_path / 'out').exists()


def test_the_points_of_the_paper():
    steps = sweep_samplers('steps', 256, {})
    assert len(steps) == 18 and dict(schedule='linear', num_steps=256) in steps
    assert [s['num_steps'] for s in sweep_samplers('steps', 16, {})] == 2 * [4, 8, 12, 16]
    top_p = sweep_samplers('top-p', 256, {})
    assert top_p[1] == dict(num_steps=256, schedule='linear', top_p=0.95)
    temperature = sweep_samplers('temperature', 256, dict(num_steps=20, schedule='cosine'))
    assert [(s['temperature'], s['dynamic']) for s in temperature] == [
        *((t, False) for t in (0, 2, 6, 20, 60)), *((t, True) for t in (2, 6, 20, 60))]
    assert all(s['num_steps'] == 20 and s['schedule'] == 'cosine' for s in temperature)
