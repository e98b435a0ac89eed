"""The package as it is installed: its version, what its import needs, its wheel, its configs."""
from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config
from modelindex.load_model_index import load

import addp_mm

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted((ROOT / 'configs').rglob('*.py'))
MADE_BY_BUILDING = re.compile(r'PKG-INFO|setup\.cfg|addp_mm\.egg-info/.*|\.\w+_cache/.*')
URL = 'https://example.org/owner/addp_mm'
BACKEND = 'from setuptools import build_meta; build_meta.'


def run_python(code: str, cwd: Path = ROOT) -> str:
    """Run code in a fresh python, in ``cwd``; return what it prints."""
    result = subprocess.run([sys.executable, '-c', code], cwd=cwd, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope='module')
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution, a wheel made from it, and the unpacked source."""
    clone, out = tmp_path_factory.mktemp('clone'), tmp_path_factory.mktemp('built')
    for name in repository_files():
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, clone / name)
    run_python(f'{BACKEND}build_sdist({str(out)!r})', clone)
    with tarfile.open(next(out.glob('*.tar.gz'))) as archive:
        archive.extractall(out, filter='data')
    next(out.glob('addp_mm-*/')).rename(out / 'source')
    run_python(f'import os; os.environ["ADDP_MM_URL"] = {URL!r}; '
               f'{BACKEND}build_wheel({str(out)!r})', out / 'source')
    return out


def repository_files() -> set[str]:
    """The files of the repository: those that git knows or would add; in an unpacked sdist all."""
    if (ROOT / '.git').exists():
        command = ['git', 'ls-files', '--cached', '--others', '--exclude-standard']
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        names = listed.stdout.splitlines()
    else:
        names = tracked('.')
    return {name for name in names
            if (ROOT / name).is_file() and not MADE_BY_BUILDING.fullmatch(name)}


def metadata(built: Path) -> str:
    """What the wheel tells a package index."""
    wheel = zipfile.ZipFile(next(built.glob('*.whl')))
    name = next(name for name in wheel.namelist() if name.endswith('METADATA'))
    return wheel.read(name).decode()


def tracked(folder: str) -> set[str]:
    """The files below a folder of this clone, relative to the clone."""
    paths = (ROOT / folder).rglob('*')
    return {
        str(path.relative_to(ROOT))
        for path in paths if path.is_file() and '__pycache__' not in path.parts
    }


def test_version_is_one():
    assert re.fullmatch(r'\d+\.\d+\.\d+', addp_mm.__version__)
    assert f'## [{addp_mm.__version__}]' in (ROOT / 'CHANGELOG.md').read_text(encoding='utf-8')
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text(encoding='utf-8'))
    assert citation['version'] == addp_mm.__version__


def test_import_needs_mmpretrain_only():
    run_python('import sys\n'
               'for name in ("mmdet", "mmseg", "mmcv._ext"):\n'
               '    sys.modules[name] = None  # importing it raises\n'
               'import addp_mm\n'
               'from mmpretrain.registry import MODELS\n'
               'assert MODELS.get("ADDP") is not None')


def test_wheel_holds_package_and_mim(built: Path):
    wheel = next(built.glob('*.whl'))
    assert wheel.name == f'addp_mm-{addp_mm.__version__}-py3-none-any.whl'
    names = set(zipfile.ZipFile(wheel).namelist())
    mim = tracked('configs') | tracked('tools') | {'model-index.yml'}
    assert {name for name in names if '/.mim/' in name} == {f'addp_mm/.mim/{name}' for name in mim}
    code = {name for name in tracked('addp_mm') if name.endswith('.py')}
    assert code <= names


def test_openmmlab_is_an_extra_of_the_wheel(built: Path):
    requires = re.findall('^Requires-Dist: (.*)$', metadata(built), re.MULTILINE)
    assert any(line.startswith('torch') and 'extra' not in line for line in requires)
    openmmlab = [line for line in requires if re.match('onedl|mm', line)]
    assert openmmlab and all('extra ==' in line for line in openmmlab)


def test_source_distribution_is_the_whole_repository(built: Path):
    with tarfile.open(next(built.glob('*.tar.gz'))) as archive:
        names = {member.name.partition('/')[2] for member in archive if member.isfile()}
    assert {name for name in names if not MADE_BY_BUILDING.fullmatch(name)} == repository_files()


def test_readme_of_a_package_index_names_addresses(built: Path):
    text = metadata(built)
    assert 'License-Expression: Apache-2.0' in text and 'Author: addp_mm contributors' in text
    links = re.findall(r'(!?)\[[^\]]*\]\(([^)\s]+)\)', text)
    assert any(mark for mark, _ in links)
    for mark, address in links:
        assert address.startswith(('https://', '#')), address
        if mark or address.startswith(URL):
            kind = 'raw' if mark else 'blob'
            path = address.removeprefix(f'{URL}/{kind}/v{addp_mm.__version__}/')
            assert (ROOT / path).is_file(), address


def test_readme_without_an_address_has_no_dead_link():
    text = run_python('import setuptools\n'
                      'setuptools.setup = lambda **kwargs: print(kwargs["long_description"])\n'
                      'exec(open("setup.py").read(), dict(__file__="setup.py"))')
    assert '# addp_mm' in text and '![' not in text
    assert [link for link in re.findall(r'\]\(([^)\s]+)\)', text)
            if not link.startswith(('https://', '#'))] == []


def test_editable_install_links_mim(built: Path):
    source = built / 'source'
    run_python(f'{BACKEND}build_editable("editable")', source)
    for name in ('configs', 'tools', 'model-index.yml'):
        link = source / 'addp_mm' / '.mim' / name
        assert link.is_symlink() and link.resolve() == (source / name).resolve()


def test_there_are_configs():
    assert CONFIGS


@pytest.mark.parametrize('path', CONFIGS, ids=[str(path.relative_to(ROOT)) for path in CONFIGS])
def test_config_parses(path: Path):
    Config.fromfile(path, import_custom_modules=False)


def test_model_index_loads():
    path = ROOT / 'model-index.yml'
    for metafile in yaml.safe_load(path.read_text(encoding='utf-8'))['Import']:
        assert (ROOT / metafile).is_file(), f'{path.name} names {metafile}, which is not there'
    index = load(str(path))
    index.build_models_with_collections()
    for model in index.models or []:
        assert (ROOT / model.config).is_file(), f'{model.name}: no file {model.config}'
