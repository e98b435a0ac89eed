"""The command line that measures generated images."""
from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

pytest.importorskip('torch_fidelity', reason='torch-fidelity is not installed')
from addp_mm.evaluation.reference_set import prepare_reference
from tests.helpers.tiny import build_model, tiny_addp_cfg, tiny_tokenizer_cfg
from tests.helpers.tiny_features import NAME, random_images, write_png
from tests.helpers.tools import run_tool

TINY = ('--extractor', NAME, '--import', 'tests.helpers.tiny_features', '--device', 'cpu',
        '--batch-size', 7)


@pytest.fixture
def tool(capsys: pytest.CaptureFixture):
    """Run the tool in this process; gives its exit code, output and errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        return run_tool('evaluate_generation', *arguments), *capsys.readouterr()

    return run


@pytest.fixture
def generated(tmp_path: Path) -> Path:
    return write_png(tmp_path / 'generated', random_images(12, seed=1))


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    source = write_png(tmp_path / 'val', random_images(15, seed=2))
    prepare_reference(source, tmp_path / 'reference', 16)
    return tmp_path / 'reference'


def test_measures_and_records(tool, generated: Path, reference: Path, tmp_path: Path):
    settings = dict(seed=3, sampler=dict(num_steps=20))
    (generated / 'settings.json').write_text(json.dumps(settings))
    out, cache = tmp_path / 'new' / 'metrics.json', tmp_path / 'cache'
    flags = ('--reference', reference, '--cache-dir', cache, *TINY)
    code, printed, notes = tool(generated, '--out', out, *flags)
    assert code == 0
    record = json.loads(out.read_text())
    assert scores_in(printed) == pytest.approx(record['scores'], rel=1e-4)
    assert list(record['scores']) == ['fid', 'inception_score', 'inception_score_std',
                                      'precision', 'recall']
    assert record['generated'] == dict(
        path=str(generated), format='PNG files', num_images=12, image_size=[16, 16], made=settings)
    assert record['reference']['made']['resize'] == 'shorter side, bilinear (PIL)'
    assert record['reference']['made']['size'] == 16 and record['reference']['num_images'] == 15
    assert record['networks']['fid']['name'] == NAME
    assert {'torch', 'torch-fidelity', 'addp_mm'} <= record['versions'].keys()
    assert 'Not the network' in notes and '12 images' in notes and len(record['notes']) == 2
    assert len(list(cache.iterdir())) == 1

    np.savez(tmp_path / 'all.npz', random_images(12, seed=1))
    code, again, _ = tool(tmp_path / 'all.npz', *flags)
    assert code == 0 and scores_in(again) == scores_in(printed)


def test_scores_are_kept(tool, generated: Path, tmp_path: Path):
    flags = (generated, '--metrics', 'is', '--out', tmp_path / 'metrics.json', *TINY)
    assert tool(*flags)[0] == 0
    code, _, errors = tool(*flags)
    assert code == 2 and 'exists already' in errors and errors.count('\n') == 1
    assert tool(*flags, '--overwrite')[0] == 0


def test_reconstructions(tool, tmp_path: Path):
    config = tmp_path / 'addp.py'
    model = tiny_addp_cfg(tmp_path)
    Config(dict(model=model, default_scope='mmpretrain')).dump(config)
    originals = random_images(12, seed=1, size=32)
    reference = write_png(tmp_path / 'reference', originals)
    flags = ('--reference', reference, '--metrics', 'fid', '--no-cache', *TINY)
    code, printed, _ = tool('--reconstruct', config, *flags)
    assert code == 0
    # By hand: encode, decode, cut off, save.
    preprocessor = build_model(model).data_preprocessor
    images, _ = preprocessor.to_images(dict(inputs=_bgr(originals)))
    with preprocessor.tokenizer.running() as tokenizer:
        decoded = tokenizer.decode(tokenizer.encode(images)[1]).clamp(0, 1)
    pixels = (decoded * 255).byte().permute(0, 2, 3, 1).numpy()
    expected = tool(write_png(tmp_path / 'by_hand', pixels), *flags)[1]
    assert scores_in(printed)['fid'] == pytest.approx(scores_in(expected)['fid'], rel=1e-4)

    # The training that makes the tokenizer names no weights.
    Config(dict(model=dict(type='VQGANTraining', tokenizer=tiny_tokenizer_cfg()))).dump(config)
    code, _, errors = tool('--reconstruct', config, *flags)
    assert code == 2 and 'has no weights' in errors
    weights = model['data_preprocessor']['tokenizer']['checkpoint']
    code, again, _ = tool('--reconstruct', config, '--tokenizer-weights', weights, *flags)
    assert scores_in(again) == scores_in(printed)

    write_png(tmp_path / 'small', random_images(12, seed=1))
    code, _, errors = tool('--reconstruct', config, '--reference', tmp_path / 'small', *TINY)
    assert code == 2 and 'the tokenizer takes (32, 32)' in errors


def scores_in(printed: str) -> dict[str, float]:
    """The scores among the lines on stdout, where the log is as well."""
    found = re.findall(r'^(\w+): ([-+.\de]+)$', printed, re.MULTILINE)
    return {name: float(value) for name, value in found}


def _bgr(images: np.ndarray):
    import torch
    return torch.from_numpy(images).permute(0, 3, 1, 2).flip(1)


def test_a_jpeg_reference_is_refused(tool, generated: Path, reference: Path):
    Image.new('RGB', (16, 16)).save(reference / 'more.jpg')
    code, _, errors = tool(generated, '--reference', reference, '--no-cache', *TINY)
    assert code == 2 and errors.count('\n') == 1
    assert 'more.jpg' in errors and 'JPEG artefacts' in errors and 'prepare_reference' in errors


def test_a_half_made_reference_is_refused(tool, generated: Path, reference: Path):
    record = reference / 'reference.json'
    record.write_text(record.read_text().replace('true', 'false'))
    code, _, errors = tool(generated, '--reference', reference, '--no-cache', *TINY)
    assert code == 2 and 'not complete' in errors


def test_too_few_images_are_seen_before_any_work(tool, generated: Path, reference: Path):
    few = write_png(generated.parent / 'few', random_images(9, seed=1))
    for images in (few, generated):
        (images / '000003.png').write_bytes(b'is not read')
    code, _, errors = tool(few, '--reference', reference, '--no-cache', *TINY)
    assert code == 2 and "The metric 'is' needs at least 10 images in each set, got 9" in errors
    code, _, errors = tool(generated, '--reference', reference, '--no-cache', *TINY)
    assert code == 2 and '000003.png is unreadable' in errors


def test_a_reference_of_statistics_alone_is_one(tool, generated: Path, tmp_path: Path):
    np.savez(tmp_path / 'ref.npz', mu=np.zeros(4), sigma=np.eye(4))
    code, _, errors = tool(generated, '--reference', tmp_path / 'ref.npz', '--no-cache', *TINY)
    assert code == 2 and 'FID of another network, precision and recall need images' in errors


@pytest.mark.parametrize(('arguments', 'message'), [
    ((), 'Name the images'),
    (('missing', '--metrics', 'is'), 'missing'),
    (('.', ), '--reference'),
    (('.', '--reconstruct', 'config.py', '--reference', '.'), 'not both'),
    (('.', '--metrics', 'is', '--batch-size', '0'), 'at least 1, got 0'),
    (('.', '--metrics', 'is', '--extractor', 'nonsense'), "'nonsense'"),
    (('.', '--metrics', 'is', '--import', 'no_such_module'), 'no_such_module'),
])
def test_bad_input_is_one_line(tool, generated: Path, monkeypatch: pytest.MonkeyPatch,
                               arguments: tuple, message: str):
    monkeypatch.chdir(generated)
    code, _, errors = tool(*arguments)
    assert code == 2 and errors.startswith('error: ') and message in errors
    assert errors.count('\n') == 1
