from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from addp_mm.models.mage import MAGE
from addp_mm.registry import MODELS
from tests.helpers.tiny import NUM_CODES, build_tiny_token_predictor, tiny_token_predictor_cfg

GRID = (4, 4)
RELEASED = dict(num_codes=1024, grid_size=(16, 16), vocab_size=2025, class_id=1100, mask_id=2024)


@pytest.fixture
def predictor() -> MAGE:
    predictor = build_tiny_token_predictor()
    for table in (predictor.pos_embed, predictor.decoder_pos_embed):
        nn.init.normal_(table, std=0.5)
    return predictor.requires_grad_(False)


@pytest.fixture
def ids() -> Tensor:
    return torch.randint(NUM_CODES, (2, *GRID))


@pytest.fixture
def mask() -> Tensor:
    """Ten of sixteen places of each image."""
    return torch.rand(2, 16).argsort(dim=1).lt(10).view(2, *GRID)


def input_of(module: nn.Module) -> list[Tensor]:
    """A list that collects what goes into a module."""
    seen = []
    module.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    return seen


@pytest.mark.parametrize(('arch', 'dims', 'released'), [
    ('base', 768, 146_474_217), ('large', 1024, 409_891_561)
])
def test_size_of_the_released_predictors(arch: str, dims: int, released: int):
    with torch.device('meta'):
        predictor = MAGE(arch=arch, **RELEASED)
    # Parameters of the released files that nothing reads: CLS and mask token, the pixel encoder's
    # two position tables, its patch embedding, and the pixel decoder's output layer.
    pixels = 16 * 16 * 3
    dead = 2 * dims + 2 * 257 * dims + (pixels * dims + dims) + (dims * pixels + pixels)
    assert sum(p.numel() for p in predictor.parameters()) == released - dead


def test_names_of_the_parameters(predictor: MAGE):
    def pair(*names: str) -> set[str]:
        return {f'{name}.{kind}' for name in names for kind in ('weight', 'bias')}

    keys = {'token_embed.weight', 'pos_embed', 'decoder_pos_embed', 'token_projection.bias'}
    keys |= pair('embed_norm', 'norm', 'decoder_embed', 'decoder_norm', 'token_projection.fc',
                 'token_projection.ln')
    for layer in ('layers.0', 'layers.1', 'decoder_layers.0'):
        keys |= pair(*(f'{layer}.{part}' for part in (
            'ln1', 'attn.qkv', 'attn.proj', 'ln2', 'ffn.layers.0.0', 'ffn.layers.1')))
    assert set(predictor.state_dict()) == keys


def test_probabilities_of_the_codes(predictor: MAGE, ids: Tensor, mask: Tensor):
    probs = predictor.predict_probs(ids, mask)
    assert probs.shape == (2, NUM_CODES, *GRID)
    torch.testing.assert_close(probs.sum(dim=1), torch.ones(2, *GRID))
    torch.testing.assert_close(probs, predictor(ids, mask).softmax(dim=1))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert predictor(ids, mask).dtype == torch.bfloat16
        assert predictor.predict_probs(ids, mask).dtype == torch.float32


def test_masked_ids_are_not_read(predictor: MAGE, ids: Tensor, mask: Tensor):
    logits = predictor(ids, mask)
    others = torch.where(mask, (ids + 1) % NUM_CODES, ids)
    assert torch.equal(predictor(others, mask), logits)
    others = torch.where(mask, ids, (ids + 1) % NUM_CODES)
    assert not torch.allclose(predictor(others, mask), logits, atol=1e-3)


def test_what_the_encoder_reads(predictor: MAGE, ids: Tensor, mask: Tensor):
    seen = input_of(predictor.embed_norm)
    predictor(ids, mask)
    words, places = predictor.token_embed.weight, predictor.pos_embed[0]
    torch.testing.assert_close(seen[0][:, 0], (words[NUM_CODES] + places[0]).expand(2, -1))
    for n in range(2):
        for i in range(16):
            masked = bool(mask.flatten(1)[n, i])
            word = words[NUM_CODES + 1] if masked else words[ids.flatten(1)[n, i]]
            torch.testing.assert_close(seen[0][n, 1 + i], word + places[1 + i])


def test_what_the_decoder_reads(predictor: MAGE, ids: Tensor, mask: Tensor):
    encoded, decoded = input_of(predictor.decoder_embed), input_of(predictor.decoder_layers)
    predictor(ids, mask)
    features = predictor.decoder_embed(encoded[0])
    flat = torch.cat((torch.zeros(2, 1, dtype=torch.bool), mask.flatten(1)), dim=1)
    wanted = torch.where(flat[..., None], features[:, :1], features)
    torch.testing.assert_close(decoded[0], wanted + predictor.decoder_pos_embed)


def test_keeping_every_place_changes_nothing(predictor: MAGE, ids: Tensor, mask: Tensor):
    everything = torch.arange(16).expand(2, -1)
    torch.testing.assert_close(predictor(ids, mask, everything), predictor(ids, mask))
    shuffled = torch.stack((torch.randperm(16), torch.randperm(16)))
    torch.testing.assert_close(predictor(ids, mask, shuffled), predictor(ids, mask))


def test_dropped_places_are_not_seen(predictor: MAGE, ids: Tensor):
    mask = torch.zeros(2, 16, dtype=torch.bool)
    mask[0, 4:], mask[1, :12] = True, True
    mask = mask.view(2, *GRID)
    kept = torch.tensor([[0, 1, 2, 3, 4, 5], [10, 11, 12, 13, 14, 15]])
    lengths = input_of(predictor.layers)
    logits = predictor(ids, mask, kept)
    assert lengths[0].shape == (2, 1 + 6, 32)
    assert not torch.allclose(logits, predictor(ids, mask), atol=1e-3)
    predictor.pos_embed[:, 1 + 8] += torch.randn(32)           # dropped from both
    assert torch.equal(predictor(ids, mask, kept), logits)
    predictor.pos_embed[:, 1 + 5] += torch.randn(32)           # masked, and kept in the first
    changed = predictor(ids, mask, kept)
    assert not torch.allclose(changed[0], logits[0], atol=1e-3)
    assert torch.equal(changed[1], logits[1])


def test_dropped_places_are_decoded_from_cls(predictor: MAGE, ids: Tensor):
    mask = torch.ones(1, *GRID, dtype=torch.bool)
    encoded, decoded = input_of(predictor.decoder_embed), input_of(predictor.decoder_layers)
    predictor(ids[:1], mask, torch.tensor([[3, 7]]))
    cls = predictor.decoder_embed(encoded[0])[:, :1]
    torch.testing.assert_close(decoded[0], cls + predictor.decoder_pos_embed)


def test_logits_depend_on_the_place(predictor: MAGE):
    logits = predictor(torch.zeros(1, *GRID, dtype=torch.long), torch.ones(1, *GRID).bool())
    assert not torch.allclose(logits[..., 0, 1], logits[..., 1, 0], atol=1e-3)


def test_places_are_in_row_major_order():
    predictor = build_tiny_token_predictor(image_size=(32, 48))
    ids, mask = torch.randint(NUM_CODES, (1, 4, 6)), torch.zeros(1, 4, 6, dtype=torch.bool)
    seen = []
    predictor.token_projection.register_forward_hook(lambda _, __, out: seen.append(out))
    logits = predictor(ids, mask)
    assert torch.equal(logits[0, :, 2, 5], seen[0][0, 2 * 6 + 5, :NUM_CODES])


def test_dropout_in_training_only(predictor: MAGE, ids: Tensor, mask: Tensor):
    assert torch.equal(predictor(ids, mask), predictor(ids, mask))
    predictor.train()
    assert not torch.allclose(predictor(ids, mask), predictor(ids, mask))
    assert predictor.embed_drop.p == 0.1 and predictor.decoder_layers[0].attn.attn_drop == 0.1


def test_words_learn_as_inputs_only(predictor: MAGE, mask: Tensor):
    predictor.requires_grad_(True)
    ids = torch.randint(5, (2, *GRID))
    predictor(ids, mask).square().sum().backward()
    learned = predictor.token_embed.weight.grad.abs().sum(dim=1) > 0
    assert set(learned.nonzero().flatten().tolist()) == {
        *ids[~mask].tolist(), NUM_CODES, NUM_CODES + 1}
    assert all(p.grad is not None for p in predictor.parameters())


def test_rows_of_the_vocabulary():
    default = MODELS.build(tiny_token_predictor_cfg(num_codes=10, grid_size=(2, 2)))
    assert (default.class_id, default.mask_id) == (10, 11)
    assert default.token_embed.num_embeddings == 12
    ours = MODELS.build(tiny_token_predictor_cfg(num_codes=10, grid_size=[2, 2], vocab_size=30,
                                                 class_id=15))
    assert (ours.class_id, ours.mask_id, ours.grid_size) == (15, 29, (2, 2))


@pytest.mark.parametrize('wrong', [
    dict(class_id=9), dict(mask_id=12), dict(vocab_size=10), dict(mask_id=3), dict(vocab_size=11)
])
def test_wrong_rows(wrong: dict):
    with pytest.raises(ValueError, match=r'must be two different rows in \[10, \d+\), got'):
        MODELS.build(tiny_token_predictor_cfg(num_codes=10, grid_size=(2, 2), **wrong))


def test_unknown_arch():
    with pytest.raises(ValueError, match="'base', 'large'.* or a dict, got 'huge'"):
        MAGE(10, (2, 2), arch='huge')


def test_another_grid(predictor: MAGE, ids: Tensor, mask: Tensor):
    with pytest.raises(ValueError, match=r'grid \(4, 4\), the token ids \(4, 3\)'):
        predictor(ids[:, :, :3], mask)
    with pytest.raises(ValueError, match=r'grid \(4, 4\), the mask \(3, 4\)'):
        predictor(ids, mask[:, :3])


def test_weights_of_another_grid_load(predictor: MAGE):
    larger = build_tiny_token_predictor(image_size=(48, 64))
    larger.load_state_dict(predictor.state_dict())
    assert larger.pos_embed.shape == larger.decoder_pos_embed.shape == (1, 49, 32)
    assert torch.equal(larger.pos_embed[:, 0], predictor.pos_embed[:, 0])
    assert torch.equal(larger.token_embed.weight, predictor.token_embed.weight)


@pytest.mark.parametrize('std', [0.02, 0.15])
def test_start_values(std: float):
    predictor = MODELS.build(tiny_token_predictor_cfg(
        num_codes=100, grid_size=(8, 8), **{} if std == 0.02 else dict(table_std=std)))
    predictor.init_weights()
    for table in (predictor.token_embed.weight, predictor.pos_embed, predictor.decoder_pos_embed):
        assert float(table.detach().std()) == pytest.approx(std, rel=0.1)
    assert not predictor.decoder_embed.bias.any() and not predictor.token_projection.bias.any()
