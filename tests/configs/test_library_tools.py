"""The libraries' own tools work with the configs of detection and segmentation."""
from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

from tests.helpers.dense_runs import CONFIGS, needs_dense, options, prepare

pytestmark = needs_dense
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('library-tools')
    prepare(path)
    return path


def run_tool(monkeypatch: pytest.MonkeyPatch, library: str, tool: str, *words: object) -> None:
    tools = Path(importlib.import_module(library).__file__).parent / '.mim' / 'tools'
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, words)])
    runpy.run_path(str(tools / tool), run_name='__main__')


@pytest.mark.parametrize('library, tool', [
    ('mmdet', 'analysis_tools/browse_dataset.py'), ('mmseg', 'misc/browse_dataset.py')])
def test_data_can_be_browsed(library: str, tool: str, folder: Path, tmp_path: Path, monkeypatch):
    run_tool(monkeypatch, library, tool, CONFIGS[library], '--not-show', '--output-dir', tmp_path,
             '--cfg-options', *options(folder, library),
             # mmseg's tool takes the names of the classes from the class of the data set.
             *['train_dataloader.dataset.type=ADE20KDataset',
               'train_dataloader.dataset.metainfo=None'] * (library == 'mmseg'))
    assert len([p for p in tmp_path.rglob('*') if p.suffix in ('.jpg', '.png')]) == 6


@pytest.mark.parametrize('library', ['mmdet', 'mmseg'])
def test_a_checkpoint_of_another_model_stops_their_tests(library: str, folder: Path,
                                                         tmp_path: Path, monkeypatch):
    with pytest.raises(ValueError, match='addp.pth holds the weights of another model than the '):
        run_tool(monkeypatch, library, 'test.py', CONFIGS[library], folder / 'addp.pth',
                 '--work-dir', tmp_path, '--cfg-options', *options(folder, library))


@pytest.mark.parametrize('config', [
    'mmdet/mask-rcnn_vitdet-b_100e.py', 'mmseg/upernet_vit-b_80k.py'])
def test_schedules_can_be_drawn(config: str, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_tool(monkeypatch, 'mmpretrain', 'visualization/vis_scheduler.py', ROOT / 'configs' / config,
             '--not-show', '--save-path', tmp_path / 'rates.png', '--cfg-options',
             'train_cfg.max_iters=20')
    assert (tmp_path / 'rates.png').is_file()


def test_inference_model(folder: Path):
    image = str(next((folder / 'scenes' / 'images' / 'validation').iterdir()))
    for library, names in (('mmdet', ('init_detector', 'inference_detector')),
                           ('mmseg', ('init_model', 'inference_model'))):
        apis = importlib.import_module(f'{library}.apis')
        init, infer = (getattr(apis, name) for name in names)
        cfg = Config.fromfile(CONFIGS[library])
        cfg.model.backbone.init_cfg = None
        result = infer(init(cfg, device='cpu'), image)
        assert 'pred_instances' in result if library == 'mmdet' else 'pred_sem_seg' in result


@pytest.mark.parametrize('path', sorted(
    path for part in ('mmdet', 'mmseg') for path in (ROOT / 'configs' / part).glob('*.py')),
    ids=lambda path: path.stem)
def test_conventions(path: Path):
    cfg = Config.fromfile(path)
    assert cfg.visualizer.name == 'visualizer'
    assert cfg.train_pipeline == cfg.train_dataloader.dataset.pipeline
    assert cfg.test_pipeline == cfg.test_dataloader.dataset.pipeline
    assert any(hook.type == 'mmpretrain.EffectiveBatchHook' for hook in cfg.custom_hooks)
