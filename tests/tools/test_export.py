"""tools/export.py: from a config and a checkpoint to a program."""
from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import torch

from addp_mm.cli.run import run
from addp_mm.models.addp import ADDPViT

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'export.py'
ARCH = dict(embed_dims=16, num_layers=1, num_heads=2, feedforward_channels=32)
SIZES = dict(arch=ARCH, img_size=32, patch_size=8)


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('export', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """A config and a checkpoint of its encoder."""
    encoder = ADDPViT(**SIZES)
    weights = {f'backbone.{name}': tensor for name, tensor in encoder.state_dict().items()}
    torch.save(dict(state_dict=weights, meta={}, optimizer={}), tmp_path / 'addp.pth')
    (tmp_path / 'config.py').write_text(
        f"model = dict(type='ADDP', backbone=dict(type='ADDPViT', **{SIZES!r}), neck=dict())\n")
    return [str(tmp_path / 'config.py'), str(tmp_path / 'addp.pth')]


@pytest.mark.parametrize(('to', 'words'), [
    ('torchscript', 'any number of images of 32 x 32 pixels'),
    ('pt2 --free-size', r'any size in whole patches of 8 x 8 pixels \(one of very few patches may'),
    ('timm', 'VisionTransformer\\(img_size=\\(32, 32\\), patch_size=8, embed_dim=16'),
])
def test_it_writes_and_says_so(tool, files, to: str, words: str, tmp_path: Path, capsys):
    out = tmp_path / 'out.pth'
    assert run(tool.main, [*files, str(out), '--to', *to.split()]) == 0
    assert out.stat().st_size > 1000
    assert re.search(words, capsys.readouterr().out)


@pytest.mark.parametrize('to', ['checkpoint', 'timm'])
def test_the_checkpoint_itself_is_not_replaced(tool, files, to: str, tmp_path: Path, capsys):
    (tmp_path / 'link.pth').symlink_to('addp.pth')
    assert run(tool.main, [*files, str(tmp_path / 'link.pth'), '--to', to, '--overwrite']) == 2
    assert 'link.pth is the file that is read: it would be lost' in capsys.readouterr().err
    assert 'optimizer' in torch.load(files[1], weights_only=False)


def test_it_writes_a_checkpoint_of_its_config(tool, files, tmp_path: Path, capsys):
    words = [*files, str(tmp_path / 'out.pth'), '--to', 'checkpoint']
    head = 'head=None, neck=None'
    (tmp_path / 'config.py').write_text(
        f"model = dict(type='ImageClassifier', backbone=dict(type='ADDPViT', **{SIZES!r}), {head})")
    assert run(tool.main, words) == 0
    assert 'weights and meta data of' in capsys.readouterr().out
    (tmp_path / 'config.py').unlink()
    assert run(tool.main, [*words, '--overwrite']) == 2
    assert 'config.py' in capsys.readouterr().err


@pytest.mark.parametrize(('more', 'words'), [
    (['--to', 'torchscript', '--image-size', '1', '2', '3'], 'takes one or two positive numbers'),
    (['--to', 'torchscript', '--free-size'], 'one image size'),
])
def test_bad_input_is_one_line(tool, files, more: list[str], words: str, tmp_path: Path, capsys):
    assert run(tool.main, [*files, str(tmp_path / 'out'), *more]) == 2
    message = capsys.readouterr().err
    assert message.count('\n') == 1 and words in message
    assert not (tmp_path / 'out').exists()


def test_a_checkpoint_of_another_model(tool, files, tmp_path: Path, capsys):
    torch.save(dict(state_dict=dict(a=torch.ones(1)), meta={}), tmp_path / 'addp.pth')
    assert run(tool.main, [*files, str(tmp_path / 'out'), '--to', 'torchscript']) == 2
    assert 'tensors are not in the file' in capsys.readouterr().err
