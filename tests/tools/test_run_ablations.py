"""Two rows of a tiny ADDP from pre-training to the table."""
from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from PIL import Image

pytest.importorskip('torch_fidelity', reason='torch-fidelity is not installed')
from addp_mm.apis.inferencer import ADDPInferencer
from addp_mm.evaluation.feature_extractor import FeatureExtractor, MetricFeatures
from addp_mm.evaluation.generation_scores import extract_features, reference_features, score
from addp_mm.evaluation.image_set import open_image_set
from addp_mm.own_images import trainings as stages
from addp_mm.registry import HOOKS
from addp_mm.studies.ablations.ablations import Ablations, ParallelStage
from tests.helpers.tiny import STRIDE, tiny_addp_cfg
from tests.helpers.tiny_features import NAME, random_images, write_png
from tests.helpers.tiny_training import make_config
from tests.helpers.tools import run_tool

pytestmark = pytest.mark.slow

ARCH = dict(embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=64)
IMAGES = 12
Run = Callable[..., tuple[int, str, str]]


@HOOKS.register_module()
class StopOnce(Hook):
    """Stops a training in its second epoch, as Ctrl-C does, unless its marker file exists."""

    def __init__(self, marker: str) -> None:
        self.marker = Path(marker)

    def before_train_epoch(self, runner: Runner) -> None:
        if runner.epoch == 1 and not self.marker.exists():
            self.marker.touch()
            raise KeyboardInterrupt


def _training(images: Path, **settings: object) -> dict:
    """A training of tiny_training of 2 epochs, as a config file needs it."""
    cfg = make_config(Path(), images) | dict(
        train_cfg=dict(by_epoch=True, max_epochs=2), resume=True, custom_imports=dict(
            imports=['addp_mm'], allow_failed_imports=False),
        visualizer=dict(type='UniversalVisualizer', vis_backends=[dict(type='LocalVisBackend')]),
        **settings)
    cfg['custom_hooks'] = [dict(type='SeedIterationHook'), dict(type='FrozenWeightsHook')]
    cfg['train_dataloader']['dataset']['pipeline'][2]['scale'] = 32
    del cfg['experiment_name'], cfg['work_dir']
    return cfg


def _write_addp(tmp_path: Path, images: Path) -> None:
    folder = tmp_path / 'rows'
    folder.mkdir()
    loss = dict(type='MaskedTokenLoss')
    cfg = _training(images, model=tiny_addp_cfg(tmp_path, head=dict(loss=loss)))
    Config(cfg).dump(folder / 'default.py')
    (folder / 'loss_hard.py').write_text("_base_ = './default.py'\n"
                                         "model = dict(head=dict(loss=dict(target='hard')))\n")


def _write_finetune(tmp_path: Path, images: Path) -> None:
    model = dict(
        type='ImageClassifier', data_preprocessor=dict(num_classes=2, to_rgb=True),
        backbone=dict(
            type='ADDPViT', arch=ARCH, img_size=32, patch_size=STRIDE, pre_norm=False,
            out_type='avg_featmap',
            init_cfg=dict(type='Pretrained', checkpoint='none.pth', prefix='backbone.')),
        head=dict(type='LinearClsHead', num_classes=2, in_channels=32))
    cfg = _training(images, model=model)
    cfg['train_dataloader']['collate_fn'] = dict(type='pseudo_collate')
    cfg['train_dataloader']['dataset']['with_label'] = True
    val = json.loads(json.dumps(cfg['train_dataloader']))
    val['sampler']['shuffle'] = False
    cfg.update(val_dataloader=val, val_cfg=dict(), val_evaluator=dict(type='Accuracy'))
    Config(cfg).dump(tmp_path / 'finetune.py')


@pytest.fixture(autouse=True)
def plain_configs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write configs without yapf's line breaks, on which these tests would spend nine tenths."""
    monkeypatch.setattr('yapf.yapflib.yapf_api.FormatCode', lambda text, **_: (text, True))


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Let trainings run in this process, which saves the start of another one; in which folders."""
    folders = []

    def train(stage: stages.Stage, *_) -> int:
        folders.append(stage.work_dir)
        cfg = stage.cfg.copy()
        cfg.work_dir, cfg.experiment_name = str(stage.work_dir), f'run{len(folders)}'
        Runner.from_cfg(cfg).train()
        return 0

    monkeypatch.setattr(stages, '_train', train)
    return folders


@pytest.fixture
def tool(tmp_path: Path, capsys: pytest.CaptureFixture) -> Run:
    """Run the tool in this process; gives its exit code and output."""
    images = tmp_path / 'images'
    for label, seed in (('a', 0), ('b', 1)):
        write_png(images / label, random_images(4, seed, size=32))
    write_png(tmp_path / 'reference', random_images(15, seed=2, size=32))
    _write_addp(tmp_path, images)
    _write_finetune(tmp_path, images)

    def run(*arguments: object, rows: str = 'rows') -> tuple[int, str, str]:
        words = [tmp_path / rows, '--out', tmp_path / 'out', '--device', 'cpu',
                 '--finetune', tmp_path / 'finetune.py', '--reference', tmp_path / 'reference',
                 '--num-images', IMAGES, '--steps', 2, '--extractor', NAME,
                 '--import', 'tests.helpers.tiny_features', '--no-cache', '--metrics', 'fid', 'is',
                 *arguments]
        return run_tool('run_ablations', *words), *capsys.readouterr()

    return run


def test_two_rows_to_a_table(tool: Run, trained: list[Path], tmp_path: Path) -> None:
    code, printed, _ = tool('--finetune-seeds', 3, 4)
    out = tmp_path / 'out'
    assert code == 0 and printed.splitlines()[-1] == str(out / 'ablations.md')
    assert '[row 2/2 loss_hard, fine-tune 2/2] done' in printed and '1 rows left' in printed
    wanted = [out / 'rows' / name / step for name in ('default', 'loss_hard')
              for step in ('pretrain', 'finetune_seed3', 'finetune_seed4')]
    assert trained == wanted
    content = json.loads((out / 'ablations.json').read_text())
    for record in content['rows']:
        assert record['generation']['scores'] == pytest.approx(_scores(record), rel=1e-4)
        assert len(record['accuracy']) == 2 and all(a % 12.5 == 0 for a in record['accuracy'])
        assert record['seconds'].keys() == {'pre-train', 'generate', 'fine-tune'}
    assert content['tables']['loss'][1]['loss.target'] == 'hard'
    assert '| loss_hard | hard |' in (out / 'ablations.md').read_text()
    assert np.asarray(Image.open(out / 'ablations.png')).std() > 10
    _check_trainings(content['rows'], out)


def _scores(record: dict) -> dict[str, float]:
    """The scores of a row: generate, then compare."""
    folder = Path(record['generation']['reference']['path']).parent
    row = folder / 'out' / 'rows' / record['name'] / 'pretrain' / 'epoch_2.pth'
    images = ADDPInferencer(record['config'], row, 'cpu').generate(IMAGES, num_steps=2)
    extract = MetricFeatures(['fid', 'is'], FeatureExtractor(NAME))
    write_png(folder / record['name'], images)
    return score(extract_features(open_image_set(folder / record['name']), extract),
                 reference_features(open_image_set(folder / 'reference'), extract))


def _check_trainings(records: list[dict], out: Path) -> None:
    """Rows were trained with their own target, and fine-tuned from their own encoder."""
    for record in records:
        folder = out / 'rows' / record['name']
        log = ''.join(path.read_text() for path in folder.glob('finetune_seed4/*/*.log'))
        assert str(folder / 'pretrain' / 'epoch_2.pth') in log
        assert 'seed: 4' in log
    weights = [stages.load_checkpoint(out / 'rows' / record['name'] / 'pretrain' / 'epoch_2.pth')
               ['state_dict']['neck.mask_token'] for record in records]
    assert not weights[0].equal(weights[1])


def test_goes_on_where_it_was_stopped(tool: Run, trained: list[Path], tmp_path: Path) -> None:
    path = tmp_path / 'rows' / 'default.py'
    cfg = Config.fromfile(path)
    cfg.custom_hooks.append(dict(type='StopOnce', marker=str(tmp_path / 'stopped')))
    cfg.dump(path)
    code, _, errors = tool()
    folder = tmp_path / 'out' / 'rows' / 'default'
    assert code == 130 and 'same command again' in errors
    assert (folder / 'pretrain' / 'epoch_1.pth').is_file() and not (folder / 'record.json').exists()
    first = json.loads((folder / 'seconds.json').read_text())
    assert tool()[0] == 0
    log = ''.join(path.read_text() for path in folder.glob('pretrain/*/*.log'))
    assert log.count('Saving checkpoint at 1 epochs') == 1 and 'resumed epoch: 1' in log
    assert len(trained) == 5        # the first one twice
    assert json.loads((folder / 'seconds.json').read_text())['pre-train'] > first['pre-train']

    record = (folder / 'record.json').read_text()
    code, printed, _ = tool()
    assert code == 0 and printed.count('already finished') == 2
    assert len(trained) == 5 and (folder / 'record.json').read_text() == record


def test_one_row_more(tool: Run, trained: list[Path], tmp_path: Path) -> None:
    """Rows of an earlier command stay in the report; a step that is done is not repeated."""
    assert tool(rows='rows/loss_hard.py')[0] == 0
    shutil.rmtree(tmp_path / 'out' / 'rows' / 'loss_hard' / 'finetune_seed0')
    (tmp_path / 'out' / 'rows' / 'loss_hard' / 'record.json').unlink()
    assert tool(rows='rows/loss_hard.py')[0] == 0
    assert [folder.name for folder in trained] == ['pretrain', 'finetune_seed0', 'finetune_seed0']
    assert tool(rows='rows/default.py')[0] == 0
    table = json.loads((tmp_path / 'out' / 'ablations.json').read_text())['tables']['loss']
    assert [row['row'] for row in table] == ['default', 'loss_hard']


def test_processes_share_the_rows(tool: Run, trained: list[Path], tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ablations, 'run', lambda self: None)      # only makes the folders
        assert tool()[0] == 0
    with (tmp_path / 'out' / 'rows' / 'default' / '.record.lock').open('w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        code, printed, _ = tool()
    assert code == 0 and 'default] another process works on it' in printed
    assert printed.splitlines()[-1].startswith('Run the same command once')
    assert {folder.parent.name for folder in trained} == {'loss_hard'}


def test_results_of_another_run_are_kept(tool: Run, trained: list[Path], tmp_path: Path) -> None:
    """Other settings or another config in the same folder are refused before anything is done."""
    assert tool(rows='rows/default.py')[0] == 0
    report = (tmp_path / 'out' / 'ablations.json').read_text()
    for change in (['--num-images', 11], ['--finetune-seeds', 1], ['--steps', 3]):
        code, _, errors = tool(*change)
        assert code == 2 and 'other settings' in errors and errors.count('\n') == 1
    default = tmp_path / 'rows' / 'default.py'
    default.write_text(default.read_text().replace('lr=0.01', 'lr=0.02'))
    code, _, errors = tool()
    assert code == 2 and 'rows/default holds results with other settings' in errors
    assert 'optim_wrapper.optimizer.lr 0.01, now 0.02' in errors
    assert len(trained) == 2 and (tmp_path / 'out' / 'ablations.json').read_text() == report


def test_rows_with_different_tokenizers_do_not_share_a_table(
        tool: Run, trained: list[Path], tmp_path: Path) -> None:
    assert tool(rows='rows/default.py')[0] == 0
    model = Config.fromfile(tmp_path / 'rows' / 'default.py').model
    path = Path(model.data_preprocessor.tokenizer.checkpoint)
    weights = stages.load_checkpoint(path)
    weights['state_dict'] = {name: 2 * value for name, value in weights['state_dict'].items()}
    torch.save(weights, path)
    code, _, errors = tool()
    assert code == 1 and 'was trained with another tokenizer' in errors and len(trained) == 2
    row = tmp_path / 'out' / 'rows' / 'default'
    assert f'Remove {row} to train it again' in errors
    shutil.rmtree(row)
    assert tool()[0] == 0 and len(trained) == 6


def test_bad_input_is_one_line(tool: Run, trained: list[Path], tmp_path: Path) -> None:
    cfg = Config.fromfile(tmp_path / 'finetune.py')
    del cfg.model.backbone.init_cfg
    cfg.dump(tmp_path / 'scratch.py')
    for arguments, rows, message in (
        ([], 'rows/soft.py', 'Rows in its folder: default, loss_hard'),
        (['--on', tmp_path / 'finetune.py'], 'rows', 'trains no encoder'),
        (['--finetune', tmp_path / 'scratch.py'], 'rows', 'does not start from an encoder'),
        (['--finetune-seeds', 1, 1], 'rows', 'each only once'),
        (['--gpus', 0], 'rows', '--gpus must be at least 1'),
        (['--reference', tmp_path / 'none'], 'rows', 'none'),
    ):
        code, _, errors = tool(*arguments, rows=rows)
        assert code == 2 and errors.startswith('error: ') and message in errors, errors
        assert errors.count('\n') == 1
    assert not trained and not (tmp_path / 'out').exists()
    write_png(tmp_path / 'out', random_images(1, 0))
    code, _, errors = tool()
    assert code == 2 and 'holds other files' in errors
    assert len(list((tmp_path / 'out').iterdir())) == 1


def test_a_failing_training_is_explained(tool: Run, tmp_path: Path) -> None:
    """With the real command, in a process of its own."""
    path = tmp_path / 'rows' / 'default.py'
    path.write_text(path.read_text().replace(str(tmp_path / 'images'), str(tmp_path / 'gone')))
    code, printed, errors = tool(rows='rows/default.py')
    assert code == 1 and '[row 1/1 default, pre-train] failed' in errors and 'gone' in errors
    assert '-m addp_mm.cli.train' in printed


def test_several_processes_run_under_torchrun(tmp_path: Path) -> None:
    config = tmp_path / 'a.py'
    config.write_text('train_cfg = dict(max_epochs=1)')
    command = ParallelStage('a', config, tmp_path, {'x': 1}, num_processes=2).command
    assert command[1:5] == ['-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=2']
    assert command[-4:] == ['--cfg-options', 'x=1', '--launcher', 'pytorch']
    assert '--launcher' not in ParallelStage('a', config, tmp_path).command
