"""Checks the installed libraries, and prints the command that mends what it finds.

    python tools/check_env.py

It imports nothing of this package, so that it works where that fails.
"""
from __future__ import annotations

import functools
import importlib
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from importlib.machinery import PathFinder
from types import ModuleType

PIP = f'{sys.executable} -m pip'
# Import names, and what provides them in each stack: the lines of requirements/onedl.txt and
# stock.txt. Both stacks own the same import names, and either one works.
STACKS = {
    'onedl': {
        'mmengine': 'onedl-mmengine>=0.10.12,<0.11',
        'mmcv': 'onedl-mmcv>=2.3.6,<2.4',
        'mmpretrain': 'onedl-mmpretrain>=1.3.6,<1.4',
        'mmdet': 'onedl-mmdetection>=3.5.1,<3.6',
        'mmseg': 'onedl-mmsegmentation>=1.4.2,<1.5',
    },
    'stock': {
        'mmengine': 'mmengine>=0.10.7,<0.12',
        'mmcv': 'mmcv-lite>=2.1.0,<2.2',
        'mmpretrain': 'mmpretrain>=1.2.0,<1.3',
        'mmdet': 'mmdet>=3.3.0,<3.4',
        'mmseg': 'mmsegmentation>=1.2.2,<1.3',
    },
}
# What the stock stack imports besides, and does not ask for.
STOCK_EXTRAS = {'ftfy': 'ftfy', 'regex': 'regex', 'pkg_resources': 'setuptools>=77,<82'}
OPENMMLAB = ('mmengine', 'mmcv', 'mmpretrain')
DOWNSTREAM = ('mmdet', 'mmseg')
OTHERS = {
    'torch': 'torch>=2.10',
    'numpy': 'numpy>=2.0',
    'einops': 'einops>=0.8',
    'safetensors': 'safetensors>=0.5',
    'timm': 'timm>=1.0.12',
}
SAFE_TORCH = (2, 10)    # reads downloaded files safely; CVE-2026-24747 and CVE-2025-32434 before
NEWEST_PYTHON = (3, 13)


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
    required = STACKS[stack_of(_owners())]
    findings = [
        *find_new_python(sys.version_info[:2]),
        *find_two_owners(_owners()),
        *find_torch_mismatch(version_of('torch'), version_of('torchvision')),
        *find_old_torch(version_of('torch')),
        *find_failing_imports({**OTHERS, **{name: required[name] for name in OPENMMLAB}}),
        *find_failing_downstream({name: required[name] for name in DOWNSTREAM}),
    ]
    for remedy in dict.fromkeys(finding.remedy for finding in findings):
        print()
        for finding in findings:
            if finding.remedy == remedy:
                print(f'{"ERROR" if finding.blocks else "NOTE"}: {finding.problem}')
        print(f'  mend with: {remedy}')
    blocked = any(finding.blocks for finding in findings)
    print('\nPre-training cannot run here yet: mend the errors above.' if blocked else
          '\nPre-training can run here.')
    return int(blocked)


def versions() -> Iterator[tuple[str, str]]:
    """What is installed, by name."""
    yield 'python', f'{sys.version.split()[0]} ({sys.executable})'
    for name in ['torch', 'torchvision', *list(OTHERS)[1:], *OPENMMLAB, *DOWNSTREAM]:
        owners = ', '.join(_owners().get(name, []))
        version = version_of(name)
        yield name, 'not installed' if version is None else (
            version if owners == name else f'{version} ({owners})')
    yield 'CUDA', _cuda()
    if version_of('mmcv') is not None:
        stand_in = 'no (torchvision stands in, for NMS and RoIAlign)'
        yield 'mmcv._ext', 'yes' if has_ops() else stand_in


def stack_of(owners: Mapping[str, Iterable[str]]) -> str:
    """The stack that is installed: 'stock' or 'onedl', which is also the answer for neither.

    Args:
        owners: Distributions by import name, as ``metadata.packages_distributions()``.
    """
    forks = [set(owners[name]) == {_distribution(line)}
             for name, line in STACKS['onedl'].items() if name in owners]
    return 'stock' if forks.count(False) > forks.count(True) else 'onedl'


def version_of(name: str) -> str | None:
    """Version of the distribution that provides a package, without importing it."""
    owners = _owners().get(name)
    return metadata.version(owners[0]) if owners else None


@functools.cache
def _owners() -> dict[str, list[str]]:
    """The distributions that installed each package."""
    found = metadata.packages_distributions()
    return {name: sorted(set(owners)) for name, owners in found.items()}


def find_new_python(version: tuple[int, int]) -> Iterator[Finding]:
    """A Python that the libraries do not know yet."""
    if version > NEWEST_PYTHON:
        yield Finding(
            f'Python {version[0]}.{version[1]} is newer than what this project was tested with.',
            'an environment with Python 3.10 to 3.13', blocks=False)


def find_two_owners(owners: Mapping[str, Iterable[str]]) -> Iterator[Finding]:
    """Two distributions that wrote over each other's files.

    Args:
        owners: Distributions by import name, as ``metadata.packages_distributions()``.
    """
    for name, requirement in STACKS[stack_of(owners)].items():
        found = sorted(set(owners.get(name, [])))
        if len(found) > 1:
            yield Finding(
                f'{" and ".join(found)} both own the package {name} and have overwritten each '
                'other\'s files.',
                f'{PIP} uninstall -y {" ".join(found)} && {PIP} install "{requirement}"')


def find_torch_mismatch(torch: str | None, torchvision: str | None) -> Iterator[Finding]:
    """A torchvision that is missing or was built for another torch: its operators do not run.

    Args:
        torch: Version, with its build ('2.11.0+cpu') if it names one.
        torchvision: Version.
    """
    error = _operator_error()
    if torch is None or error is None:
        return
    build = torch.partition('+')[2]
    index = f' --index-url https://download.pytorch.org/whl/{build}' if build else ''
    if torchvision is None:
        yield Finding('torchvision is not installed', f'{PIP} install torch torchvision{index}')
        return
    yield Finding(
        f'torchvision {torchvision} does not run with torch {torch}: {error}',
        f'{PIP} uninstall -y torchvision && {PIP} install torch torchvision{index}')


def _operator_error() -> str | None:
    """What an operator of torchvision says when it is called; None if it works."""
    try:
        vision = importlib.import_module('torchvision')
        torch = importlib.import_module('torch')
        vision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    except Exception as error:      # a broken library may raise anything
        return _first_line(error)
    return None


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


def find_failing_downstream(required: Mapping[str, str]) -> Iterator[Finding]:
    """Downstream libraries that cannot be imported; only detection or segmentation needs them.

    Args:
        required: What to install, by import name.
    """
    for finding in find_failing_imports(required):
        yield replace(finding, blocks=False)


def has_ops() -> bool:
    """Whether mmcv was compiled with its operations."""
    mmcv = PathFinder.find_spec('mmcv')
    paths = mmcv.submodule_search_locations if mmcv else None
    return bool(paths) and PathFinder.find_spec('mmcv._ext', paths) is not None


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
    stack = stack_of(_owners())
    known = {name, *OTHERS, *STACKS[stack]}
    if missing in STOCK_EXTRAS:
        return f'{PIP} install "{STOCK_EXTRAS[missing]}"'
    if missing not in known:
        return f'{PIP} install {missing}'
    if name not in STACKS[stack]:
        return f'{PIP} install "{requirement}"'
    absent = {name: line for name, line in STACKS[stack].items() if version_of(name) is None}
    wanted = absent or STACKS[stack]
    others = [owner for name, line in wanted.items() for owner in _owners().get(name, [])
              if owner != _distribution(line)]
    lines = [*wanted.values(), *(STOCK_EXTRAS.values() if stack == 'stock' else ())]
    make_room = f'{PIP} uninstall -y {" ".join(others)} && ' if others else ''
    return f'{make_room}{PIP} install ' + ' '.join(f'"{line}"' for line in lines)


def _distribution(requirement: str) -> str:
    return re.split('[<>=]', requirement)[0]


def _numbers(version: str) -> tuple[int, int]:
    found = re.match(r'(\d+)\.(\d+)', version)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


if __name__ == '__main__':
    if not __package__:
        del sys.path[0]     # the folder of this file, whose names would hide those of libraries
    if len(sys.argv) > 1:
        sys.exit(f'error: {sys.argv[0]} takes no arguments, got {" ".join(sys.argv[1:])}.')
    sys.exit(main())
