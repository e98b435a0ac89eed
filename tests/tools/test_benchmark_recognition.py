"""The command line of the recognition benchmark: what it measures, repeats and says."""
from __future__ import annotations

import json
from pathlib import Path

import pytest

from addp_mm.cli.run import run as run_command
from addp_mm.studies import label_efficiency
from addp_mm.studies.label_efficiency import Method, method_config
from tests.helpers.tools import load_tool

benchmark = load_tool('benchmark_recognition')
CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'digits'


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """Run the tool in this process with one method; gives its exit code and output."""
    method = Method('k-NN', 'knn.py', checkpoint=str(tmp_path / 'encoder.pth'))
    monkeypatch.setitem(benchmark.METHODS, 'knn_addp', method)

    def run(*words: str) -> tuple[int, str, str]:
        code = run_command(benchmark.main, ['--out', str(tmp_path / 'out'), *words])
        return code, *capsys.readouterr()

    return run


def test_missing_weights_are_one_line(tool):
    code, _, error = tool('--methods', 'knn_addp', '--seeds', '1')
    assert code == 2
    assert error.startswith('error: The weights ') and error.count('\n') == 1
    assert 'make digits' in error


def test_at_least_one_seed(tool):
    code, _, error = tool('--seeds', '0')
    assert (code, error) == (2, 'error: --seeds must be at least 1, got 0.\n')


def test_what_is_measured_is_reported_and_not_repeated(tool, tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(label_efficiency, 'fingerprint', lambda cfg, checkpoint: 'the same')
    for seed, accuracy in enumerate((80., 90.)):
        path = tmp_path / 'out' / 'knn_addp' / f'seed_{seed}.json'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(dict(
            seed=seed, rate=None, inputs='the same', accuracy=accuracy, seconds=3.)))
    code, output, _ = tool('--methods', 'knn_addp', '--seeds', '2')
    assert code == 0
    assert '| k-NN | 85.0 ± 7.1 | 80.0 90.0 |' in output
    assert (tmp_path / 'out' / 'recognition.md').read_text() == output
    assert json.loads((tmp_path / 'out' / 'recognition.json').read_text())[0]['method'] == 'k-NN'


@pytest.mark.parametrize('name', benchmark.METHODS)
def test_the_methods_configs_are_there(name: str):
    method = benchmark.METHODS[name]
    cfg = method_config(CONFIGS, method, 0, *((method.rates[0], True) if method.rates
                                              else (None, False)))
    assert cfg.model.backbone.type == 'ADDPViT'
    if 'norm' in name:
        assert cfg.model.backbone.pre_norm
    assert ('tokenizer' in cfg.model.backbone) == (name.endswith(('mage', 'tokens')))
