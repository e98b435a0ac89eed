"""The command line of the checkpoint converter."""
from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from addp_mm.checkpoints.weight_files import load_checkpoint, load_weights, sha256_of
from addp_mm.registry import MODELS
from tests.helpers import taming
from tests.helpers.reference import reference_part, reference_state_dict
from tests.helpers.tools import run_tool

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / 'tools' / 'convert_checkpoint.py'


@pytest.fixture
def tool(capsys: pytest.CaptureFixture):
    """Run the tool in this process; gives its exit code, output and errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        return run_tool('convert_checkpoint', *arguments), *capsys.readouterr()

    return run


@pytest.fixture
def released(tmp_path: Path) -> Path:
    path = tmp_path / 'released.pth'
    torch.save(dict(model=reference_state_dict(), epoch=3), path)
    return path


@pytest.mark.slow
def test_from_the_shell(released: Path, tmp_path: Path) -> None:
    dst = tmp_path / 'addp.pth'
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    done = subprocess.run([sys.executable, str(TOOL), str(released), str(dst)], env=environment,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'reference -> addp: 70 tensors taken, 70 of them renamed, 0 position' in done.stdout
    assert 'dropped 2 (decoder_pred.weight, decoder_pred.bias): never read' in done.stdout
    assert re.search(r'dropped 168 \(vqgan\..*, \.\.\.\): the frozen tokenizer', done.stdout)
    assert f'sha256 {sha256_of(dst)[:8]}' in done.stdout
    assert f"load_from = '{dst}'" in done.stdout
    assert load_checkpoint(dst)['meta'] == dict(
        source='released.pth', source_sha256=sha256_of(released), kind='reference',
        converted_to='addp')


def test_there_and_back(tool, released: Path, tmp_path: Path) -> None:
    ours, back = tmp_path / 'ours.safetensors', tmp_path / 'back.pth'
    code, out, _ = tool(released, ours)
    assert code == 0 and 'need a .pth file' in out
    assert tool(ours, back, '--to', 'reference')[0] == 0
    weights, original = load_weights(back), reference_state_dict()
    assert len(weights) == 70 and all(torch.equal(v, original[n]) for n, v in weights.items())


def test_the_options_arrive(tool, released: Path, tmp_path: Path) -> None:
    dst = tmp_path / 'encoder.pth'
    code, out, _ = tool(released, dst, '--to', 'backbone', '--keep-pre-norm', '--image-size', 96,
                        '--patch-size', 16)
    assert code == 0 and '1 position tables resized' in out
    assert "init_cfg=dict(type='Pretrained'" in out
    weights = load_weights(dst)
    assert weights['pos_embed'].shape == (1, 37, 64) and 'pre_norm.weight' in weights
    assert f'{sum(w.numel() for w in weights.values()):,} parameters' in out
    assert tool(released, dst, '--to', 'mage', '--grid', 3, 5, '--overwrite')[0] == 0
    assert load_weights(dst)['pos_embed'].shape == (1, 16, 48)


class MakesFolder:
    """Its pickle makes a folder when it is read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.folder), )


def test_code_runs_only_with_trust(tool, tmp_path: Path) -> None:
    src, dst, made = tmp_path / 'src.ckpt', tmp_path / 'dst.pth', tmp_path / 'made'
    torch.save(dict(state_dict=reference_part('vqgan.'), args=MakesFolder(made)), src)
    code, out, err = tool(src, dst)
    assert code == 2 and not out and '--trust-checkpoint' in err
    assert not made.exists() and not dst.exists()
    assert tool(src, dst, '--trust-checkpoint')[0] == 0
    assert made.exists() and len(load_weights(dst)) == 168


@pytest.mark.parametrize('arguments, message', [
    (['--to', 'reference'], "can become .*got 'reference'"),
    (['--kind', 'mage'], 'unknown: .*missing: '),
    (['--image-size', '100'], 'multiple of --patch-size 16, got 100'),
    (['--image-size', '0'], 'multiple of --patch-size 16, got 0'),
    (['--image-size', '96', '--patch-size', '0'], 'multiple of --patch-size 0'),
    (['--grid', '0', '4'], 'two positive numbers'),
    (['--keep-pre-norm'], "is for the target 'backbone'"),
    (['--to', 'vqgan', '--grid', '4', '4'], 'no position table'),
])
def test_bad_wishes_end_in_one_line(tool, released: Path, tmp_path: Path, arguments: list[str],
                                    message: str) -> None:
    code, out, err = tool(released, tmp_path / 'out' / 'dst.pth', *arguments)
    assert code == 2 and not out
    assert err.startswith('error: ') and err.count('\n') == 1 and re.search(message, err)
    assert [p.name for p in tmp_path.iterdir()] == ['released.pth']


def test_bad_files_end_in_one_line(tool, released: Path, tmp_path: Path) -> None:
    code, _, err = tool(tmp_path / 'nowhere.pth', tmp_path / 'dst.pth')
    assert code == 2 and 'no weight file' in err and err.count('\n') == 1
    before = released.read_bytes()
    for words in ([], ['--overwrite']):
        code, _, err = tool(released, released, *words)
        assert code == 2 and 'is the file that is read: it would be lost' in err
        assert released.read_bytes() == before
    code, _, err = tool(tmp_path / 'nowhere.pth', released)     # Before any work.
    assert code == 2 and 'exists already' in err
    code, _, err = tool(released, tmp_path)
    assert code == 2 and 'is a folder' in err


def test_printed_config_of_a_taming_file_takes_the_result(tool, tmp_path: Path) -> None:
    pytest.importorskip('diffusers')
    weights = taming.taming_weights(torch.Generator().manual_seed(0))
    torch.save(dict(state_dict=weights), tmp_path / 'last.ckpt')
    dst = tmp_path / 'taming.safetensors'
    code, out, _ = tool(tmp_path / 'last.ckpt', dst)
    assert code == 0 and f'taming -> diffusers: {len(weights)} tensors taken' in out
    line = re.search('In a config: data_preprocessor=dict\\(tokenizer=(.+)\\)', out).group(1)
    cfg = eval(line)
    tokenizer = MODELS.build(dict(cfg['model'], image_size=16))
    tokenizer.load_state_dict(load_weights(cfg['checkpoint']))
    assert tokenizer.grid_size == (8, 8) and tokenizer.num_codes == taming.CODES
