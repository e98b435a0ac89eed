"""check_env: finds what goes wrong with these libraries, and says what mends it."""
from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.parametrize('owners, problem', [
    (dict(mmengine=['onedl-mmengine', 'mmengine']), 'mmengine and onedl-mmengine both own'),
    (dict(mmcv=['mmcv-lite', 'onedl-mmcv', 'onedl-mmcv']), 'mmcv-lite and onedl-mmcv both own')])
def test_two_owners(owners, problem):
    (finding,) = check_env.find_two_owners(owners)
    assert problem in finding.problem and finding.blocks
    name = next(iter(owners))
    assert f'uninstall -y {" ".join(sorted(set(owners[name])))}' in finding.remedy
    assert finding.remedy.endswith(f'install {check_env.OPENMMLAB[name]}')


def test_one_owner_is_right():
    owners = dict(mmengine=['mmengine', 'mmengine'], cv2=['opencv-python', 'another'])
    assert list(check_env.find_two_owners(owners)) == []


@pytest.mark.parametrize('torch, torchvision, remedy', [
    ('2.11.0', '0.26.0', None), ('2.14.1+cpu', '0.29.1+cpu', None), (None, '0.26.0', None),
    ('2.11.0', '0.25.0', 'torchvision==0.26.*"'),
    ('2.11.0+cpu', '0.26.0', 'torchvision==0.26.*" --index-url '
                             'https://download.pytorch.org/whl/cpu')])
def test_torchvision_of_another_torch(torch, torchvision, remedy):
    findings = list(check_env.find_torch_mismatch(torch, torchvision))
    if remedy is None:
        assert findings == []
    else:
        assert findings[0].remedy.endswith(remedy) and 'nms' in findings[0].problem


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


def test_versions_are_those_of_the_requirements():
    lines = (ROOT / 'requirements' / 'mminstall.txt').read_text().splitlines()
    assert sorted(check_env.OPENMMLAB.values()) == sorted(
        line for line in lines if line and not line.startswith('#'))


def test_it_runs_where_nothing_is_installed():
    # -S -I: no site-packages, not even those of this environment.
    done = subprocess.run([sys.executable, '-S', '-I', TOOL],
                          capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr == ''
    assert 'mmpretrain is not installed' in done.stdout
    assert 'Pre-training cannot run here yet' in done.stdout
