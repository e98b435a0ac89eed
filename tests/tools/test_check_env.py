"""check_env: finds what goes wrong with these libraries, and says what mends it."""
from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / 'tools' / 'check_env.py'
spec = importlib.util.spec_from_file_location('check_env', TOOL)
check_env = importlib.util.module_from_spec(spec)
sys.modules['check_env'] = check_env        # dataclasses look their module up
spec.loader.exec_module(check_env)


def test_healthy_environment(capsys):
    assert check_env.main() == 0
    out = capsys.readouterr().out
    assert 'Pre-training can run here.' in out
    for name in ('python', 'torch', 'torchvision', 'numpy', 'mmengine', 'mmcv', 'mmcv._ext',
                 'mmpretrain', 'mmdet', 'mmseg', 'timm', 'CUDA'):
        assert any(line.split()[0] == name for line in out.splitlines() if line), name


ONEDL = dict(mmengine=['onedl-mmengine'], mmcv=['onedl-mmcv'], mmpretrain=['onedl-mmpretrain'])
STOCK = dict(mmengine=['mmengine'], mmcv=['mmcv-lite'], mmpretrain=['mmpretrain'])


@pytest.mark.parametrize('others, owners, problem, stack', [
    (ONEDL, dict(mmengine=['onedl-mmengine', 'mmengine']), 'mmengine and onedl-mmengine', 'onedl'),
    (ONEDL, dict(mmcv=['mmcv-lite', 'onedl-mmcv', 'onedl-mmcv']), 'mmcv-lite and onedl-mmcv',
     'onedl'),
    (STOCK, dict(mmengine=['onedl-mmengine', 'mmengine']), 'mmengine and onedl-mmengine', 'stock')])
def test_two_owners(others, owners, problem, stack):
    (finding,) = check_env.find_two_owners(others | owners)
    assert f'{problem} both own' in finding.problem and finding.blocks
    name = next(iter(owners))
    assert f'uninstall -y {" ".join(sorted(set(owners[name])))}' in finding.remedy
    assert finding.remedy.endswith(f'install "{check_env.STACKS[stack][name]}"')


def test_one_owner_is_right():
    for stack in (ONEDL, STOCK, dict(mmcv=['mmcv']), dict(cv2=['opencv-python', 'another'])):
        assert list(check_env.find_two_owners(stack)) == []


def test_stack():
    assert check_env.stack_of(STOCK) == check_env.stack_of(dict(mmcv=['mmcv'])) == 'stock'
    assert check_env.stack_of(ONEDL) == check_env.stack_of({}) == 'onedl'


@pytest.mark.parametrize('torch, torchvision', [
    ('2.15.0', '0.29.2'), ('2.11.0', '0.26.0'), ('2.14.1+cpu', '0.29.1+cpu'), (None, '0.26.0')])
def test_torchvision_whose_operators_run_is_right(torch, torchvision):
    assert list(check_env.find_torch_mismatch(torch, torchvision)) == []


@pytest.mark.parametrize('torch, torchvision, problem, remedy', [
    ('2.11.0', '0.25.0', 'torchvision 0.25.0 does not run with torch 2.11.0: operator '
     'torchvision::nms does not exist',
     'uninstall -y torchvision && {pip} install torch torchvision'),
    ('2.11.0+cpu', '0.26.0', 'torchvision 0.26.0 does not run with torch 2.11.0+cpu',
     'install torch torchvision --index-url https://download.pytorch.org/whl/cpu'),
    ('2.11.0', None, 'torchvision is not installed', 'install torch torchvision')])
def test_torchvision_of_another_torch(tmp_path, torch, torchvision, problem, remedy):
    # What such a torchvision does when it is imported.
    (tmp_path / 'torchvision.py').write_text(
        'raise RuntimeError("operator torchvision::nms does not exist")')
    code = ('import check_env\n'
            f'(finding,) = check_env.find_torch_mismatch({torch!r}, {torchvision!r})\n'
            'print(finding.problem, finding.remedy, check_env.PIP, sep="\\n")')
    out = subprocess.run(
        [sys.executable, '-c', f'import sys; sys.path[:0] = [{str(tmp_path)!r}, '
         f'{str(TOOL.parent)!r}]\n{code}'], capture_output=True, text=True, check=True).stdout
    found, mend, pip = out.splitlines()
    assert found.startswith(problem) and mend.endswith(remedy.format(pip=pip))


@pytest.mark.parametrize('version, found', [('2.9.1', True), ('2.10.0', False), ('3.0', False)])
def test_unsafe_torch_is_a_note(version, found):
    findings = list(check_env.find_old_torch(version))
    assert bool(findings) == found
    if found:
        assert 'CVE-2026-24747' in findings[0].problem and not findings[0].blocks


def test_missing_and_broken_libraries(tmp_path, monkeypatch):
    for name, text in {
            'broken_vision': 'raise RuntimeError("operator torchvision::nms does not exist")',
            'needs_absent': 'import absent_part',
            'fine': ''}.items():
        (tmp_path / f'{name}.py').write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    findings = list(check_env.find_failing_imports(dict(
        fine='fine', absent='absent>=2', broken_vision='broken', needs_absent='needing')))
    assert [f.problem for f in findings] == [
        'absent is not installed',
        'broken_vision cannot be imported: operator torchvision::nms does not exist',
        "needs_absent cannot be imported: No module named 'absent_part'"]
    assert [f.remedy.removeprefix(check_env.PIP) for f in findings] == [
        ' install "absent>=2"', ' install "broken"', ' install absent_part']


def lines_of(name: str) -> list[str]:
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    return sorted(line for line in lines if line and not line.startswith('#'))


def test_versions_are_those_of_the_requirements():
    onedl, stock = check_env.STACKS['onedl'], check_env.STACKS['stock']
    assert sorted(onedl.values()) == lines_of('onedl')
    assert sorted([*stock.values(), *check_env.STOCK_EXTRAS.values()]) == lines_of('stock')
    assert set(check_env.OTHERS.values()) < set(lines_of('runtime'))


def test_constraints_are_within_the_requirements():
    pinned = {}
    for line in lines_of('constraints'):
        requirement = Requirement(line)
        pinned.setdefault(requirement.name.lower(), []).append(str(requirement.specifier)[2:])
    for name in ('onedl', 'stock', 'runtime', 'tests'):
        for requirement in map(Requirement, lines_of(name)):
            versions = pinned[requirement.name.lower()]
            assert versions and all(map(requirement.specifier.contains, versions)), requirement


def test_newer_python_is_a_note():
    assert list(check_env.find_new_python((3, 13))) == []
    (finding,) = check_env.find_new_python((3, 15))
    assert 'Python 3.15' in finding.problem and not finding.blocks


def test_libraries_of_the_installed_stack_are_named(monkeypatch):
    monkeypatch.setattr(check_env, '_owners', lambda: STOCK)
    monkeypatch.setattr(check_env, 'version_of', lambda name: '1' if name in STOCK else None)
    command = check_env._install_command('mmdet', 'mmdet', 'mmdet>=3.3.0,<3.4')
    assert '"mmdet>=3.3.0,<3.4" "mmsegmentation' in command
    assert 'uninstall' not in command and 'onedl' not in command and 'mmcv' not in command


def test_it_runs_where_nothing_is_installed():
    # -S -I: no site-packages, not even those of this environment.
    done = subprocess.run([sys.executable, '-S', '-I', TOOL],
                          capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr == ''
    assert 'mmpretrain is not installed' in done.stdout
    assert 'Pre-training cannot run here yet' in done.stdout
