"""Who imports whom: a folder of the package imports lower ones only, and nothing goes in a circle.

Also what no file of the package may do: ``print()``, where there is a logger; ``.cuda()``, where a
CPU must do; and name a path of the tools, which import the package.
"""
from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / 'addp_mm'
# Low to high: a folder may import every folder above its line, and no other.
LAYERS = [
    'registry', 'version', 'quiet_import', 'unknown_names', 'name_lists', 'whole_numbers',
    'error_origin', 'config_errors', 'config_file', 'atomic_write', 'result_folder', 'diffusion',
    'datasets', 'checkpoints',
    'models.layers', 'models.vqgan', 'models.mage', 'models.addp', 'models.knn_classifier',
    'models.mae_training', 'models', 'generation', 'visualization', 'dense', 'evaluation',
    'engine', 'apis', 'cli', 'own_images', 'studies',
    '',     # addp_mm itself, which imports everything
]
RANK = {unit: rank for rank, unit in enumerate(LAYERS)}
OUTSIDE = {'tools', 'tests', 'configs'}


def module_name(path: Path, root: Path) -> str:
    """``models/addp/token_head.py`` -> ``models.addp.token_head``; packages without __init__."""
    parts = path.relative_to(root).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def unit_of(module: str) -> str:
    """The layer's entry that a module belongs to: its folder, one deeper below ``models``."""
    return '.'.join(module.split('.')[:2 if module.startswith('models.') else 1])


def imports_of(path: Path, root: Path) -> Iterator[str]:
    """Yield the absolute dotted name of each thing that a file imports, at any depth in it."""
    here = ('addp_mm', *path.relative_to(root).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[:len(here) + 1 - node.level] if node.level else ()
            prefix = [*base, *filter(None, [node.module])]
            yield from ('.'.join([*prefix, alias.name]) for alias in node.names)


def dependencies(root: Path) -> dict[str, set[str]]:
    """Map each module of the package at ``root`` to the modules of it that it imports."""
    files = {module_name(path, root): path for path in root.rglob('*.py')}

    def resolve(name: str) -> str:
        while name not in files and name:
            name = name.rpartition('.')[0]
        return name

    return {
        module: {
            resolve(name.partition('.')[2])
            for name in imports_of(path, root) if name.split('.')[0] == 'addp_mm'
        }
        for module, path in files.items()
    }


def upward_imports(root: Path) -> list[str]:
    """Return one line for each import that the layers forbid."""
    found = []
    for module, targets in sorted(dependencies(root).items()):
        unit = unit_of(module)
        for target in sorted(map(unit_of, targets)):
            if target != unit and RANK.get(target, 99) > RANK.get(unit, -1):
                found.append(f'{module or "addp_mm"} imports {target or "addp_mm"}')
    return found


def import_cycle(root: Path) -> list[str]:
    """Return the modules of one import cycle, or nothing."""
    graph = {module: targets - {module} for module, targets in dependencies(root).items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def forbidden_calls(root: Path) -> list[str]:
    """Return one line for each ``print(...)`` and ``x.cuda(...)``."""
    found = []
    for path in sorted(root.rglob('*.py')):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if not isinstance(node, ast.Call):
                continue
            prints = isinstance(node.func, ast.Name) and node.func.id == 'print'
            cuda = isinstance(node.func, ast.Attribute) and node.func.attr == 'cuda'
            if cuda or prints:
                found.append(f'{path.relative_to(root)}:{node.lineno}')
    return found


def strings_with(root: Path, part: str) -> list[str]:
    """Return one line for each string, docstrings included, that holds ``part``."""
    found = []
    for path in sorted(root.rglob('*.py')):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found += [f'{path.relative_to(root)}:{node.lineno}'] * (part in node.value)
    return found


def test_every_folder_has_its_layer():
    units = {unit_of(module_name(path, PACKAGE)) for path in PACKAGE.rglob('*.py')}
    assert units == RANK.keys(), 'new folder: give it a line in LAYERS'


def test_no_upward_import():
    assert upward_imports(PACKAGE) == []


def test_no_import_from_outside_the_package():
    names = {name.split('.')[0] for path in PACKAGE.rglob('*.py')
             for name in imports_of(path, PACKAGE)}
    assert not names & OUTSIDE


def test_no_import_cycle():
    assert import_cycle(PACKAGE) == []


def test_no_print_and_no_cuda():
    assert forbidden_calls(PACKAGE) == []


def test_the_package_knows_no_path_of_the_tools():
    """It starts its own modules, and an installed package has its tools elsewhere."""
    assert strings_with(PACKAGE, 'tools/') == []


@pytest.fixture
def bad_package(tmp_path: Path) -> Path:
    """A package that breaks each rule once, so that the walk itself is tested."""
    files = {
        '__init__.py': '',
        'registry.py': 'MODELS = 1',
        'diffusion/__init__.py': 'from .process import Process',
        'diffusion/process.py': 'class Process:\n    pass',
        'models/addp/__init__.py': 'from .head import Head',
        'models/addp/head.py': 'from ...generation.sampler import Sampler',
        'generation/__init__.py': 'from .sampler import Sampler',
        'generation/sampler.py': 'from addp_mm.diffusion import Process\n'
                                 'from ..models.addp import Head\n'
                                 'def go(x):\n    print(x.cuda())',
        'engine/hooks.py': 'def hook():\n    from ..apis import train',
        'apis/train.py': "'''Trains.'''\nTOOL = f'tools/{1}.py'",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_the_walk_finds_what_is_wrong(bad_package: Path):
    assert upward_imports(bad_package) == [
        'engine.hooks imports apis', 'models.addp.head imports generation'
    ]
    assert set(import_cycle(bad_package)) >= {'generation.sampler', 'models.addp.head'}
    assert forbidden_calls(bad_package) == ['generation/sampler.py:4'] * 2
    assert strings_with(bad_package, 'tools/') == ['apis/train.py:2']
