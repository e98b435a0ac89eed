"""What differs between two runs."""
from __future__ import annotations

import pytest
from mmengine.config import Config
from mmengine.hooks import EMAHook

from addp_mm.apis.model_source import find_shipped
from addp_mm.checkpoints.run_settings import (
    differences,
    in_words,
    other_model,
    other_part,
    read_settings,
    settings_of,
)
from addp_mm.registry import HOOKS, MODELS

CFG = dict(
    model=dict(type='ADDP', backbone=dict(depth=4, window=(2, 4)),
               compile_cfg=dict(mode='default')),
    train_dataloader=dict(batch_size=2, num_workers=2, dataset=dict(type='ImageFolder')),
    optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-3)), work_dir='here',
    param_scheduler=[dict(type='LinearLR', end=3), dict(type='CosineAnnealingLR', begin=3)],
    randomness=dict(seed=0), train_cfg=dict(max_epochs=3, val_interval=1))


def changed(**options: object) -> dict:
    cfg = Config(CFG).copy()
    cfg.merge_from_dict({name.replace('__', '.'): value for name, value in options.items()})
    return differences(settings_of(Config(CFG)), settings_of(cfg))


def test_what_does_not_matter_is_passed_over() -> None:
    assert changed() == {}
    assert changed(work_dir='there', train_dataloader__num_workers=8, train_cfg__val_interval=5,
                   model__compile_cfg__mode='reduce-overhead') == {}


@pytest.mark.parametrize('name, value, found', [
    ('optim_wrapper.optimizer.lr', 1e-5, (1e-3, 1e-5)), ('randomness.seed', 1, (0, 1)),
    ('train_dataloader.batch_size', 4, (2, 4)), ('train_cfg.max_epochs', 9, (3, 9)),
    ('model.backbone.depth', 2, (4, 2)), ('param_scheduler.1.begin', 4, (3, 4)),
    ('model.neck', dict(type='New'), None)])
def test_what_decides_is_named_with_both_values(name: str, value: object, found: tuple) -> None:
    result = changed(**{name.replace('.', '__'): value})
    if found is None:
        assert result == {'model.neck.type': ('none', 'New')}
    else:
        assert result == {name: found}
        assert in_words(result) == f'{name} {found[0]!r}, now {found[1]!r}'


@HOOKS.register_module()
class OwnAverage(EMAHook):
    """An average of another name."""


@pytest.mark.parametrize('kind', ['EMAHook', 'mmpretrain.EMAHook', 'OwnAverage'])
def test_of_hooks_those_that_average_count(kind: str) -> None:
    average, watching = dict(type=kind, momentum=0.1), dict(type='SeedIterationHook')
    name = f'custom_hooks.{kind.rpartition(".")[2]}'
    assert hooks_changed([watching], [watching, average]) == {
        f'{name}.type': ('none', kind), f'{name}.momentum': ('none', 0.1)}
    assert f'{name}.type' in hooks_changed([average], [watching])
    assert hooks_changed([average], [dict(average, momentum=0.2)]) == {
        f'{name}.momentum': (0.1, 0.2)}
    assert hooks_changed([watching, average], [average]) == {}
    assert hooks_changed([watching, average], [average, watching]) == {}


def hooks_changed(earlier: list[dict], now: list[dict]) -> dict:
    return differences(*(settings_of(Config(dict(CFG, custom_hooks=hooks)))
                         for hooks in (earlier, now)))


MODEL = dict(
    type='ADDP', data_preprocessor=dict(
        tokenizer=dict(checkpoint='a/vqgan.pth'), token_predictor=dict(model=dict(depth=2)),
        diffusion=dict(mapping='weighted_sum', mask_ratio=dict(std=0.3))),
    neck=dict(num_heads=4, drop_rate=0.), head=dict(loss=dict(type='MaskedTokenLoss')),
    sampler=dict(top_p=0.5))


@pytest.mark.parametrize('name, value, said', [
    ('neck.num_heads', 8, 'model.neck.num_heads 4, now 8'),
    ('data_preprocessor.diffusion.mapping', 'argmax',
     "model.data_preprocessor.diffusion.mapping 'weighted_sum', now 'argmax'"),
    ('data_preprocessor.mean', [0], "model.data_preprocessor.mean.0 'none', now 0"),
    ('type', 'mmpretrain.ADDP', ''), ('type', 'KNNClassifier', ''),
    ('sampler.top_p', 1.0, ''), ('neck.drop_rate', 0.5, ''),
    ('neck.init_cfg', dict(type='Pretrained'), ''), ('head.loss.type', 'Other', ''),
    ('data_preprocessor.diffusion.mask_ratio.std', 0.1, ''),
    ('data_preprocessor.token_predictor.model.depth', 3, ''),
    ('data_preprocessor.tokenizer.checkpoint', 'b/renamed.pth', '')])
def test_another_model_of_the_same_sizes(name: str, value: object, said: str) -> None:
    cfg = Config(dict(model=MODEL)).copy()
    cfg.merge_from_dict({f'model.{name}': value})
    assert other_model(dict(cfg=Config(dict(model=MODEL)).pretty_text), cfg) == said


def test_another_model_where_the_preprocessor_stands_beside_it_or_views_are_averaged() -> None:
    mean = dict(mean=[1, 2])
    meta = dict(cfg=Config(dict(model=dict(type='A'), data_preprocessor=mean)).pretty_text)
    inside = dict(type='A', data_preprocessor=mean)
    for model in (inside, dict(type='Views', module=inside)):
        assert other_model(meta, Config(dict(model=model))) == ''
    inside['data_preprocessor'] = dict(mean=[1, 0])
    assert 'mean.1 2, now 0' in other_model(meta, Config(dict(model=inside)))


@pytest.mark.parametrize('meta', [None, {}, dict(cfg=None), dict(cfg='model: {a: 1}')])
def test_checkpoints_of_others_are_not_compared(meta: dict | None) -> None:
    assert other_model(meta, Config(dict(model=MODEL))) == ''


@pytest.mark.parametrize('tested, trained', [
    ('digits/generation', 'digits/addp'), ('digits/long/generation_long', 'digits/long/addp_long'),
    ('digits/knn', 'digits/addp'), ('digits/knn_tokens', 'digits/mage'),
    ('addp/benchmarks/generation_vit-b', 'addp/vit-b_1600e'),
    ('addp/benchmarks/generation_vit-l', 'addp/vit-l_800e'),
    ('addp/benchmarks/robustness_imagenet-a', 'addp/benchmarks/finetune_vit-b_100e')])
def test_shipped_tests_take_the_model_that_was_trained(tested: str, trained: str) -> None:
    text, cfg = (Config.fromfile(find_shipped('configs') / f'{name}.py')
                 for name in (trained, tested))
    assert other_model(dict(cfg=text.pretty_text), cfg) == ''


def test_nothing_in_the_text_is_run(tmp_path) -> None:
    victim = tmp_path / 'victim'
    text = f"model = dict(a=open({str(victim)!r}, 'w'), b=[1, -2.5], c=lambda: 0)\nimport os\n"
    found = read_settings(text)
    assert found['model']['b'] == [1, -2.5] and 'open(' in found['model']['a']
    assert not victim.exists()


def test_unreadable_text_is_refused() -> None:
    with pytest.raises(ValueError, match='The config in the checkpoint cannot be read'):
        read_settings('model = dict(')


@pytest.mark.parametrize('trained, user, name', [
    ('digits/vqgan', 'digits/mage', 'tokenizer'), ('digits/vqgan', 'digits/addp', 'tokenizer'),
    ('digits/mage', 'digits/addp', 'token_predictor'),
    ('digits/long/mage_long', 'digits/long/addp_long', 'token_predictor'),
    ('vqgan/vqgan_256', 'addp/vit-b_1600e', 'tokenizer'),
    ('nuclei/mage_nuclei-64', 'nuclei/addp_nuclei-64', 'token_predictor')])
def test_shipped_trainings_take_the_parts_that_were_trained(trained: str, user: str,
                                                            name: str) -> None:
    text, cfg = (Config.fromfile(find_shipped('configs') / f'{config}.py')
                 for config in (trained, user))
    part = cfg.model.data_preprocessor[name].model
    meta = dict(cfg=text.pretty_text)
    assert other_part(meta, part, MODELS.get(part.type)) == ''
    assert other_part(meta, part | dict(new=3), MODELS.get(part.type)) == "new 'none', now 3"
