"""Each config can be told by its file name, and works in a folder of its own."""
from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = [path for path in sorted((ROOT / 'configs').rglob('*.py')) if '_base_' not in path.parts]
ALGORITHMS = {'addp': 'addp', 'mage': 'mage', 'vqgan': 'vqgan'}
# Their names stand in commands that users have written down.
OLD_NAMES = {'vit-l_800e', 'vit-b_1600e', 'r50_300e'}


def work_dir(path: Path) -> str:
    """Where tools/train.py trains it without --work-dir."""
    return Config.fromfile(path, import_custom_modules=False).get(
        'work_dir', f'work_dirs/{path.stem}')


def test_no_two_configs_share_a_name():
    assert not {name: n for name, n in Counter(p.stem for p in CONFIGS).items() if n > 1}


def test_no_two_configs_share_a_work_folder():
    assert not {name: n for name, n in Counter(map(work_dir, CONFIGS)).items() if n > 1}


@pytest.mark.parametrize('folder', sorted(ALGORITHMS))
def test_names_begin_with_the_algorithm(folder: str):
    stems = {path.stem for path in (ROOT / 'configs' / folder).glob('*.py')}
    assert stems
    assert all(stem.startswith(ALGORITHMS[folder]) for stem in stems - OLD_NAMES)
