"""What runs on a pull request is what .ci/run runs: the same targets of the Makefile."""
from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / '.github' / 'workflows').glob('*.yml'))


def make_targets(workflow: Path) -> set[str]:
    """The targets that the steps of a workflow make, one for each entry of a matrix."""
    found = set()
    for job in yaml.safe_load(workflow.read_text())['jobs'].values():
        matrix = {k: v for k, v in job.get('strategy', {}).get('matrix', {}).items()}
        for step, values in product(job['steps'], product(*matrix.values())):
            command = step.get('run', '')
            for key, value in zip(matrix, values, strict=True):
                command = command.replace(f'${{{{ matrix.{key} }}}}', str(value))
            found.update(re.findall(r'^make ([\w-]+)$', command, re.MULTILINE))
    return found


def targets_of_makefile() -> set[str]:
    """The targets that the Makefile knows."""
    text = (ROOT / 'Makefile').read_text()
    return set(re.findall(r'^([a-z-]+):', text, re.MULTILINE))


def test_continuous_integration_makes_what_ci_run_makes():
    made = re.findall(r'^make (?:--\S+ )*([\w-]+)', (ROOT / '.ci/run').read_text(), re.MULTILINE)
    assert len(made) >= 4
    assert make_targets(ROOT / '.github/workflows/ci.yml') == set(made)


@pytest.mark.parametrize('workflow', WORKFLOWS, ids=lambda path: path.stem)
def test_targets_exist(workflow: Path):
    assert make_targets(workflow) and make_targets(workflow) <= targets_of_makefile()


def test_tests_run_on_every_python_that_the_package_claims():
    workflow = yaml.safe_load((ROOT / '.github/workflows/ci.yml').read_text())
    tested = set(workflow['jobs']['test']['strategy']['matrix']['python'])
    claimed = set(re.findall(r"Python :: (3\.\d+)'", (ROOT / 'setup.py').read_text()))
    assert tested == claimed
