"""The parts on docs/extend.md are built, trained for a step, and used as the page says."""
from __future__ import annotations

import importlib
import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from addp_mm.checkpoints.weight_files import save_weights
from addp_mm.registry import MODELS, TRANSFORMS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / 'docs/extend.md').read_text(encoding='utf-8')
BLOCKS = {
    re.match(r'# (\w+)\.py', block).group(1): block
    for block in re.findall(r'```python\n(.+?)```', PAGE, flags=re.DOTALL)
}
PARTS = ('colour_blocks', 'conv_encoder', 'random_invert')


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the blocks of the page as files; their parts are registered meanwhile."""
    path = tmp_path_factory.mktemp('page')
    (path / 'configs').symlink_to(ROOT / 'configs')
    for name, text in BLOCKS.items():
        (path / f'{name}.py').write_text(text)
    with pytest.MonkeyPatch.context() as patch, DefaultScope.overwrite_default_scope('mmpretrain'):
        patch.chdir(path)
        patch.syspath_prepend(path)
        for name in PARTS:
            importlib.import_module(name)
        yield path
    for registry, part in ((MODELS, 'ColourBlocks'), (MODELS, 'ConvEncoder'),
                           (TRANSFORMS, 'RandomInvert')):
        registry.module_dict.pop(part)


def load(path: Path) -> Config:
    return Config.fromfile(path, import_custom_modules=False)


def random_weights(part: dict, path: Path) -> None:
    """Write the weight file of a frozen part that nobody has trained."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_weights(MODELS.build(part).state_dict(), path)


def batch() -> dict:
    return dict(inputs=torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8))


def train_step(model: torch.nn.Module) -> float:
    """The loss of a batch; every parameter must get a gradient."""
    model.init_weights()
    data = model.data_preprocessor(batch(), training=True)
    loss = model(**data, mode='loss')['loss_token']
    loss.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    return loss.item()


def test_page_has_the_four_parts_and_their_recipes():
    assert BLOCKS.keys() == {*PARTS, 'save_colour_blocks', 'my_mage', 'my_addp'}


def test_tokenizer(folder: Path):
    runpy.run_path(str(folder / 'save_colour_blocks.py'))
    cfg = load(folder / 'my_mage.py')
    assert 'colour_blocks' in cfg.custom_imports['imports']
    model = MODELS.build(cfg.model)
    assert 0 < train_step(model) < 10       # log(64) = 4.2 nats
    with model.data_preprocessor.tokenizer.running() as tokenizer:
        ids, latents = tokenizer.encode(torch.rand(2, 3, 32, 32))
        assert torch.equal(tokenizer.encode(tokenizer.decode(latents))[0], ids)


def test_encoder_and_recipe(folder: Path):
    cfg = load(folder / 'my_addp.py')
    frozen = cfg.model.data_preprocessor
    random_weights(frozen.tokenizer.model, folder / frozen.tokenizer.checkpoint)
    sizes = dict(num_codes=32, grid_size=(4, 4))
    random_weights(sizes | frozen.token_predictor.model, folder / frozen.token_predictor.checkpoint)
    model = MODELS.build(cfg.model)
    assert type(model.backbone).__name__ == 'ConvEncoder'
    assert 0 < train_step(model) < 10       # log(32) = 3.5 nats
    assert cfg.param_scheduler[-1].end == cfg.train_cfg.max_epochs


def test_transform(folder: Path):
    pipeline = load(folder / 'my_addp.py').train_dataloader.dataset.pipeline
    kinds = [step.type for step in pipeline]
    assert kinds[-2:] == ['RandomInvert', 'PackInputs'] and len(kinds) == 5
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    for prob, wanted in ((1., 255 - image), (0., image)):
        transform = TRANSFORMS.build(dict(pipeline[-2], prob=prob))
        assert np.array_equal(transform(dict(img=image))['img'], wanted)


def test_timm_backbone_of_the_page(folder: Path):
    cfg = eval(re.search(r'`backbone=(dict\(.+\))`', PAGE).group(1))
    cfg.pop('_delete_')
    channels = int(re.search(r'`neck=dict\(in_channels=(\d+)\)`', PAGE).group(1))
    features = MODELS.build(cfg)(torch.zeros(1, 3, 64, 64))
    assert features[-1].shape[1] == channels
