"""Checks the installed libraries, and prints the command that mends what it finds.

    python tools/check_env.py

It imports nothing of this package, so that it works where that fails.
"""
from __future__ import annotations

import functools
import importlib
import importlib.util
import re
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType

PIP = f'{sys.executable} -m pip'
# Import names, and what provides them; the versions are those of requirements/mminstall.txt
# and dense.txt.
OPENMMLAB = {
    'mmengine': 'onedl-mmengine==0.10.12',
    'mmcv': 'onedl-mmcv==2.3.6',
    'mmpretrain': 'onedl-mmpretrain==1.3.6',
}
DOWNSTREAM = {'mmdet': 'onedl-mmdetection==3.5.1', 'mmseg': 'onedl-mmsegmentation==1.4.2'}
OTHERS = {
    'torch': 'torch>=2.10',
    'torchvision': 'torchvision',
    'numpy': 'numpy',
    'einops': 'einops',
    'safetensors': 'safetensors',
    'timm': 'timm>=1.0',
}
REQUIRED = {**OTHERS, **OPENMMLAB}
SAFE_TORCH = (2, 10)    # reads downloaded files safely; CVE-2026-24747 and CVE-2025-32434 before


@dataclass(frozen=True)
class Finding:
    """Something wrong with the environment.

    Attributes:
        problem: What it is.
        remedy: The command that mends it.
        blocks: Whether pre-training cannot run, or cannot be trusted.
    """

    problem: str
    remedy: str
    blocks: bool = True


def main() -> int:
    """Print versions and findings; 0 if pre-training can run, else 1."""
    warnings.simplefilter('ignore')     # what libraries say while they are imported
    for name, version in versions():
        print(f'{name:12s} {version}')
    findings = [
        *find_two_owners(_owners()),
        *find_torch_mismatch(version_of('torch'), version_of('torchvision')),
        *find_old_torch(version_of('torch')),
        *find_failing_imports(REQUIRED),
        *find_missing_ops(),
    ]
    for finding in findings:
        print(f'\n{"ERROR" if finding.blocks else "NOTE"}: {finding.problem}\n'
              f'  mend with: {finding.remedy}')
    blocked = any(finding.blocks for finding in findings)
    print('\nPre-training cannot run here yet: mend the errors above.' if blocked else
          '\nPre-training can run here.')
    return int(blocked)


def versions() -> Iterator[tuple[str, str]]:
    """What is installed, by name."""
    yield 'python', f'{sys.version.split()[0]} ({sys.executable})'
    for name in [*REQUIRED, *DOWNSTREAM]:
        owners = ', '.join(_owners().get(name, []))
        version = version_of(name)
        yield name, 'not installed' if version is None else (
            version if owners == name else f'{version} ({owners})')
    yield 'CUDA', _cuda()
    yield 'mmcv._ext', 'yes' if has_ops() else 'no (only detection needs it)'


def version_of(name: str) -> str | None:
    """Version of the distribution that provides a package, without importing it."""
    owners = _owners().get(name)
    return metadata.version(owners[0]) if owners else None


@functools.cache
def _owners() -> dict[str, list[str]]:
    """The distributions that installed each package."""
    found = metadata.packages_distributions()
    return {name: sorted(set(owners)) for name, owners in found.items()}


def find_two_owners(owners: Mapping[str, Iterable[str]]) -> Iterator[Finding]:
    """Two distributions that wrote over each other's files.

    Args:
        owners: Distributions by import name, as ``metadata.packages_distributions()``.
    """
    for name, default in {**OPENMMLAB, **DOWNSTREAM}.items():
        found = sorted(set(owners.get(name, [])))
        if len(found) > 1:
            yield Finding(
                f'{" and ".join(found)} both own the package {name} and have overwritten each '
                'other\'s files.',
                f'{PIP} uninstall -y {" ".join(found)} && {PIP} install {default}')


def find_torch_mismatch(torch: str | None, torchvision: str | None) -> Iterator[Finding]:
    """A torchvision built for another torch, which fails with "torchvision::nms does not exist".

    Args:
        torch: Version, with its build ('2.11.0+cpu') if it names one.
        torchvision: Version.
    """
    if torch is None or torchvision is None:
        return
    (major, minor), (_, vision) = _numbers(torch), _numbers(torchvision)
    builds = [text.partition('+')[2] for text in (torch, torchvision)]
    if major == 2 and vision != minor + 15 or builds[0] != builds[1]:
        build = builds[0]
        index = f' --index-url https://download.pytorch.org/whl/{build}' if build else ''
        yield Finding(
            f'torchvision {torchvision} is not the build for torch {torch}: "operator '
            'torchvision::nms does not exist" comes from this.',
            f'{PIP} install --force-reinstall --no-deps "torchvision==0.{minor + 15}.*"{index}')


def find_old_torch(torch: str | None) -> Iterator[Finding]:
    """A torch that can run code while it reads weights."""
    if torch is not None and _numbers(torch) < SAFE_TORCH:
        yield Finding(
            f'torch {torch} can be made to run code by a downloaded weight file '
            '(CVE-2026-24747): use only files that you trust.',
            f'{PIP} install --upgrade "torch>=2.10" torchvision', blocks=False)


def find_failing_imports(required: Mapping[str, str]) -> Iterator[Finding]:
    """Libraries that are missing or cannot be imported.

    Args:
        required: What to install, by import name. A library that fails because of an earlier one
            is not reported again.
    """
    reported: set[str] = set()
    for name, requirement in required.items():
        module = _import(name)
        if isinstance(module, ModuleType):
            continue
        missing = isinstance(module, ModuleNotFoundError) and module.name or name
        if missing in reported or str(module) in reported:
            continue
        reported |= {missing, str(module)}
        reason = 'is not installed' if missing == name and isinstance(
            module, ModuleNotFoundError) else f'cannot be imported: {_first_line(module)}'
        yield Finding(f'{name} {reason}', _install_command(name, missing, requirement))


def find_missing_ops() -> Iterator[Finding]:
    """An mmcv without its compiled part."""
    if version_of('mmcv') is not None and not has_ops():
        yield Finding(
            'mmcv has no compiled ops (mmcv._ext). Detection with mmdet needs them, nothing else '
            'does. Compiling takes 10 to 25 minutes and needs a C++20 compiler. In a clone of this '
            'project, `bash tools/make_env.sh --dense` makes an environment with them; for this '
            'one:', f'{_uninstall_stock()}{_compile_command()}', blocks=False)


def _compile_command() -> str:
    """Install mmcv with its ops; mmcv asks for C++17 where the headers of torch need C++20."""
    compiler = Path(tempfile.gettempdir()) / 'c++20'
    wrapper = r"""printf '#!/usr/bin/env bash\nexec g++ "${@/#-std=c++17/-std=c++20}"\n'"""
    return (f'{wrapper} > {compiler} '
            f'&& chmod +x {compiler} && {PIP} install ninja wheel "setuptools>=80" && '
            f'CXX={compiler} MMCV_WITH_OPS=1 {PIP} install --force-reinstall --no-deps '
            f'--no-build-isolation --no-cache-dir --no-binary onedl-mmcv {OPENMMLAB["mmcv"]} && '
            f'{PIP} install {" ".join(DOWNSTREAM.values())}')


def has_ops() -> bool:
    """Whether mmcv was compiled with its ops."""
    try:
        return importlib.util.find_spec('mmcv._ext') is not None
    except Exception:       # whatever importing a broken mmcv raises
        return False


def _cuda() -> str:
    torch = _import('torch')
    if not isinstance(torch, ModuleType):
        return 'unknown'
    if not torch.cuda.is_available():
        return f'{torch.version.cuda or "not in this build of torch"}, no GPU'
    names = {torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())}
    return f'{torch.version.cuda}, {torch.cuda.device_count()} x {", ".join(sorted(names))}'


def _import(name: str) -> ModuleType | BaseException:
    try:
        return importlib.import_module(name)
    except Exception as error:      # a broken library may raise anything
        return error


def _install_command(name: str, missing: str, requirement: str) -> str:
    if missing != name and missing not in REQUIRED:
        return f'{PIP} install {missing}'
    if name in OPENMMLAB:
        return f'{_uninstall_stock()}{PIP} install {" ".join(OPENMMLAB.values())}'
    return f'{PIP} install "{requirement}"'


def _uninstall_stock() -> str:
    """Start of a command that makes room for the maintained forks of the OpenMMLab libraries."""
    stock = sorted({owner for name in {**OPENMMLAB, **DOWNSTREAM}
                    for owner in _owners().get(name, []) if not owner.startswith('onedl-')})
    return f'{PIP} uninstall -y {" ".join(stock)} && ' if stock else ''


def _numbers(version: str) -> tuple[int, int]:
    found = re.match(r'(\d+)\.(\d+)', version)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


if __name__ == '__main__':
    if not __package__:
        del sys.path[0]     # the folder of this file, whose names would hide those of libraries
    sys.exit(main())
