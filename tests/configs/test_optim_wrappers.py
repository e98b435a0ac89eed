"""No shipped training steps with gradients that are not finite."""
from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from addp_mm.apis.machine import optim_wrappers

ROOT = Path(__file__).resolve().parents[2] / 'configs'
CONFIGS = [path for path in sorted(ROOT.rglob('*.py')) if '_base_' not in path.parts]


def types_of(path: Path) -> set[str]:
    cfg = Config.fromfile(path, import_custom_modules=False)
    return {wrapper.get('type', 'OptimWrapper') for wrapper in optim_wrappers(cfg)}


def test_every_wrapper_is_guarded():
    types = {path.name: types_of(path) for path in CONFIGS}
    assert sum(map(len, types.values())) > 50
    guarded = {'PortableAmpOptimWrapper', 'mmpretrain.PortableAmpOptimWrapper'}
    assert not {name: found for name, found in types.items() if found - guarded}
