"""Run the command lines in this process."""
from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path
from types import ModuleType

import pytest

TOOLS = Path(__file__).resolve().parents[2] / 'tools'


def run_tool(name: str, *words: object) -> int:
    """Run a tool to its end, as ``python tools/<name>.py words`` does; gives its exit code."""
    path = str(TOOLS / f'{name}.py')
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as end:
        patch.setattr(sys, 'argv', [path, *map(str, words)])
        runpy.run_path(path, run_name='__main__')
    return end.value.code


def load_tool(name: str) -> ModuleType:
    """A tool as a module."""
    spec = importlib.util.spec_from_file_location(Path(name).name, TOOLS / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
