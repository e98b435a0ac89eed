"""benchmarks/data_pipeline.py runs, and compares what it says."""
from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

FILE = Path(__file__).parents[2] / 'benchmarks/data_pipeline.py'


@pytest.fixture
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location('data_pipeline', FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_plain_and_recipe_are_timed_on_equal_crops(benchmark, tmp_path, capsys):
    out = tmp_path / 'times.json'
    benchmark.main(['--num-images', '2', '--rounds', '1', '--size', '96', '64', '--gpu-rate', '100',
                    '--out', str(out)])
    result = json.loads(out.read_text())
    plain, recipe = result['times']['plain'], result['times']['recipe']
    assert set(plain) - set(recipe) == {'RandomResizedCrop'}
    assert min(*plain.values(), *recipe.values()) > 0
    assert 0 <= result['times']['mean_difference']['worst'] < 0.5
    assert result['plain']['ms'] == pytest.approx(sum(plain.values()))
    rate = result['recipe']['images_per_second_per_core']
    assert result['recipe']['cores'] == pytest.approx(8 * 100 / rate)
    assert 'images/s/core' in capsys.readouterr().out


def test_own_images(benchmark, tmp_path):
    with pytest.raises(SystemExit, match='found none'):
        benchmark.main(['--images', str(tmp_path)])
    Image.new('RGB', (80, 60), 'red').save(tmp_path / 'a.png')
    assert benchmark.main(['--images', str(tmp_path), '--rounds', '1'])['num_images'] == 1


def test_crop_becomes_a_step(benchmark):
    crop = dict(type='RandomResizedCrop', scale=8)
    pipeline = [dict(type='SeedTransforms'), dict(type='LoadRobustImage', crop=crop),
                dict(type='PackInputs')]
    assert benchmark.split_crop(pipeline) == [
        dict(type='SeedTransforms'), dict(type='LoadRobustImage'), crop, dict(type='PackInputs')]
    assert pipeline[1]['crop'] is crop
