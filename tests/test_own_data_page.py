"""The configs on docs/own_data.md build, and fit each other."""
from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from addp_mm.registry import MODELS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / 'docs/own_data.md').read_text()


@pytest.fixture
def configs(tmp_path: Path) -> dict[str, Config]:
    """The Python blocks of the page by the names in their first lines, as if in the clone."""
    found = {}
    for block in re.findall(r'```python\n(.+?)```', PAGE, flags=re.DOTALL):
        name = re.match(r'# (\w+)\.py', block).group(1)
        path = tmp_path / f'{name}.py'
        path.write_text(block.replace("_base_ = 'configs", f"_base_ = '{ROOT}/configs"))
        found[name] = Config.fromfile(path)
    return found


def test_stages_fit_each_other(configs):
    with DefaultScope.overwrite_default_scope('mmpretrain'), torch.device('meta'):
        vqgan, mage, addp = (MODELS.build(configs[name].model)
                             for name in ('my_vqgan', 'my_mage', 'my_addp'))
    pairs = [(vqgan.tokenizer, mage.data_preprocessor.tokenizer),
             (vqgan.tokenizer, addp.data_preprocessor.tokenizer),
             (mage.token_predictor, addp.data_preprocessor.token_predictor)]
    for made, taken in pairs:
        wanted = taken.description.state_dict()
        assert {k: v.shape for k, v in made.state_dict().items()} == {
            k: v.shape for k, v in wanted.items()}


def test_checkpoints_are_those_that_the_stages_write(configs):
    vqgan, mage, addp = (configs[name] for name in ('my_vqgan', 'my_mage', 'my_addp'))
    tokenizer = f'work_dirs/my_vqgan/epoch_{vqgan.train_cfg.max_epochs}.pth'
    predictor = f'work_dirs/my_mage/epoch_{mage.train_cfg.max_epochs}.pth'
    assert mage.model.data_preprocessor.tokenizer.checkpoint == tokenizer
    assert addp.model.data_preprocessor.tokenizer.checkpoint == tokenizer
    assert addp.model.data_preprocessor.token_predictor.checkpoint == predictor


def test_files_that_the_page_names_exist():
    named = set(re.findall(r'(?:tools|configs|benchmarks)/[\w/.-]+\.(?:py|sh|md)', PAGE))
    assert len(named) >= 6
    missing = [name for name in named
               if not any((folder / name).is_file() for folder in (ROOT, ROOT / 'docs'))]
    assert [name for name in missing if f'OUT/{name}' not in PAGE] == []
