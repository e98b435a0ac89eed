from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import Tensor

from addp_mm.diffusion import NoisySample
from addp_mm.models.layers import VAL_RATIOS, FrozenModule, MaskedTokenLoss
from addp_mm.models.mage import MAGETraining
from addp_mm.registry import MODELS
from tests.helpers.tiny import (
    NUM_CODES,
    build_model,
    grid_of,
    tiny_batch,
    tiny_mage_training_cfg,
    tiny_token_predictor_cfg,
)


@pytest.fixture
def model(tmp_path: Path) -> MAGETraining:
    return build_model(tiny_mage_training_cfg(tmp_path))


@pytest.fixture
def ids() -> Tensor:
    return torch.randint(NUM_CODES, (3, 4, 4))


def calls_of(model: MAGETraining) -> list[tuple]:
    """A list that collects (token_ids, mask, kept) of each call of the token predictor."""
    seen = []
    model.token_predictor.register_forward_pre_hook(lambda _, args: seen.append(args))
    return seen


def fixed(ratio: float) -> dict:
    return dict(mask_ratio=dict(type='FixedMaskRatio', ratio=ratio))


@pytest.mark.parametrize('overrides', [
    dict(), dict(drop_ratio=0.), fixed(1.0), fixed(0.5),
    dict(loss=dict(type='MaskedTokenLoss', target='hard', label_smoothing=0.))
])
def test_loss_trains_every_parameter(tmp_path: Path, overrides: dict):
    model = build_model(tiny_mage_training_cfg(tmp_path, **overrides)).train()
    losses = model(**model.data_preprocessor(tiny_batch(3), True), mode='loss')
    assert losses.keys() == {'loss_token'}
    assert losses['loss_token'].item() == pytest.approx(math.log(NUM_CODES), rel=0.15)
    losses['loss_token'].backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_loss_is_the_smoothed_cross_entropy_of_the_masked_codes(model: MAGETraining, ids: Tensor):
    model.eval()
    seen = calls_of(model)
    value = model(ids, mode='loss')['loss_token']
    (read, mask, kept), = seen
    logits = model.token_predictor(read, mask, kept)
    assert torch.equal(read, ids) and logits.shape[1] == NUM_CODES
    wanted = torch.nn.functional.cross_entropy(logits, ids, reduction='none', label_smoothing=0.1)
    torch.testing.assert_close(value, wanted[mask].mean())
    assert torch.equal(value, MaskedTokenLoss('hard')(logits, NoisySample(ids, mask)))


@pytest.mark.parametrize(('ratio', 'drop_ratio', 'masked', 'kept'), [
    (0.75, 0.5, 12, 8), (0.75, 0.25, 12, 12), (0.75, 0., 12, 16), (1.0, 0.5, 16, 8),
    (0.6, 0.5, 10, 8), (0.5, 0.75, 8, 8),                 # no more than the masked are dropped
])
def test_dropped_tokens_are_masked(tmp_path: Path, ids: Tensor, ratio: float, drop_ratio: float,
                                   masked: int, kept: int):
    model = build_model(tiny_mage_training_cfg(tmp_path, drop_ratio=drop_ratio, **fixed(ratio)))
    seen, lengths = calls_of(model), []
    model.token_predictor.layers.register_forward_pre_hook(
        lambda _, args: lengths.append(args[0].shape[1]))
    model(ids, mode='loss')
    (_, mask, places), = seen
    assert mask.flatten(1).sum(dim=1).tolist() == [masked] * 3
    assert places.shape == (3, kept) and lengths == [1 + kept]
    for n in range(3):
        seen_places = set(places[n].tolist())
        unmasked = set((~mask[n]).flatten().nonzero().flatten().tolist())
        assert len(seen_places) == kept and unmasked <= seen_places
    if masked < 16:
        assert not torch.equal(mask[0], mask[1]), 'one mask for every image'


def test_masks_follow_the_distribution(model: MAGETraining, ids: Tensor):
    seen = calls_of(model)
    for _ in range(20):
        model(ids, mode='loss')
    counts = {int(mask[0].sum()) for _, mask, _ in seen}
    assert len(counts) > 3 and counts <= set(range(8, 17))
    assert model.drop_ratio == 0.5


def test_the_seed_repeats_a_step(model: MAGETraining, ids: Tensor):
    values = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        values.append(model(ids, mode='loss')['loss_token'].item())
    assert values[0] == values[1] != values[2]


def test_predict_scores_each_ratio_and_leaves_the_draws_of_training(model: MAGETraining):
    model.eval()
    batch, state = tiny_batch(), torch.get_rng_state()
    with torch.no_grad():
        scores, again = model.val_step(batch), model.test_step(batch)
    assert torch.equal(torch.get_rng_state(), state)
    assert [s['ratio'] for s in scores] == list(VAL_RATIOS)
    assert [s['count'].tolist() for s in scores] == [[n] * 2 for n in (9, 12, 13, 15, 16)]
    assert all(torch.equal(s['loss'], t['loss']) for s, t in zip(scores, again, strict=True))
    ids = model.data_preprocessor(batch)['inputs']
    assert torch.equal(scores[0]['token_ids'], ids)
    with torch.no_grad():
        logits = model(ids, mode='tensor')
    losses = torch.nn.functional.cross_entropy(logits, ids, reduction='sum')
    total = float(scores[-1]['loss'].sum())     # everything is masked
    assert total == pytest.approx(float(losses), rel=1e-5)


def test_a_training_step_learns_nothing_of_the_tokenizer(model: MAGETraining):
    model.train()
    frozen = model.data_preprocessor.tokenizer.description
    before = {k: v.clone() for k, v in frozen.state_dict().items()}
    optim = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1.))
    start = model.token_predictor.pos_embed.detach().clone()
    model.train_step(tiny_batch(), optim)
    assert not torch.equal(model.token_predictor.pos_embed, start)
    assert all(torch.equal(v, before[k]) for k, v in frozen.state_dict().items())
    assert {k.split('.')[0] for k in model.state_dict()} == {'token_predictor'}


def test_its_checkpoint_serves_addp(model: MAGETraining, tmp_path: Path, ids: Tensor):
    path = tmp_path / 'epoch_1.pth'
    torch.save(dict(meta=dict(epoch=1), state_dict=model.state_dict()), path)
    cfg = tiny_token_predictor_cfg(num_codes=NUM_CODES, grid_size=grid_of())
    mask = torch.rand(ids.shape) < 0.5
    model.eval()
    with FrozenModule(cfg, str(path)).running() as predictor:
        assert torch.equal(predictor(ids, mask), model.token_predictor(ids, mask))


def test_sizes_come_from_the_tokenizer(tmp_path: Path):
    cfg = tiny_mage_training_cfg(tmp_path)
    cfg['data_preprocessor']['tokenizer']['model'].update(image_size=(32, 48), num_codes=30)
    model = MODELS.build(cfg)
    assert model.token_predictor.grid_size == (4, 6) and model.token_predictor.num_codes == 30


def test_wrong_arguments(model: MAGETraining, tmp_path: Path, ids: Tensor):
    for drop_ratio in (-0.1, 1.):
        with pytest.raises(ValueError, match=r'drop_ratio must lie in \[0, 1\), got'):
            MODELS.build(tiny_mage_training_cfg(tmp_path, drop_ratio=drop_ratio))
    with pytest.raises(ValueError, match="'loss', 'predict' or 'tensor', got 'train'"):
        model(ids, mode='train')


def test_missing_tokenizer_stops_before_training(tmp_path: Path):
    cfg = tiny_mage_training_cfg(tmp_path)
    cfg['data_preprocessor']['tokenizer']['checkpoint'] = None
    with pytest.raises(ValueError, match='frozen VQGAN has no weights'):
        build_model(cfg)
