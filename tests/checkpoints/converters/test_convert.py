"""Which file is taken where."""
from __future__ import annotations

import pytest
import torch

from addp_mm.checkpoints.converters import DEFAULT_TARGETS, KINDS, TABLES, convert, detect_kind
from tests.helpers.reference import reference_part, reference_state_dict


def test_kinds_are_told_from_the_names() -> None:
    released = reference_state_dict()
    assert detect_kind(released) == 'reference'
    assert detect_kind(convert(released).weights) == 'addp'
    assert detect_kind(reference_part('token_predictor.')) == 'mage'
    assert detect_kind(reference_part('vqgan.')) == 'vqgan'
    with pytest.raises(ValueError, match=r'Cannot tell .* conv\.weight.*quantize\.embedding'):
        detect_kind({'conv.weight': torch.zeros(1)})


@pytest.mark.parametrize('to, part, num', [
    ('mage', 'token_predictor.', 64), ('vqgan', 'vqgan.', 168)
])
def test_the_frozen_parts_come_out_of_a_released_addp(to: str, part: str, num: int) -> None:
    inside, alone = convert(reference_state_dict(), to), convert(reference_part(part))
    assert len(inside.weights) == num
    assert inside.weights.keys() == alone.weights.keys()
    assert all(torch.equal(v, inside.weights[n]) for n, v in alone.weights.items())
    assert len(inside.sources) + len(inside.dropped) == 483


def test_a_stripped_addp_has_no_frozen_parts() -> None:
    stripped = {n: v for n, v in reference_state_dict().items() if not n.startswith('vqgan.')}
    with pytest.raises(ValueError, match="no tensors under 'vqgan.'"):
        convert(stripped, 'vqgan')


def test_a_released_addp_gives_the_encoder_of_ours() -> None:
    released = reference_state_dict()
    direct, ours = convert(released, 'backbone'), convert(convert(released).weights, 'backbone')
    assert direct.weights.keys() == ours.weights.keys()
    assert direct.sources['ln1.weight'] == 'norm.weight'
    assert 'tokenizer_norm.weight' in direct.dropped and 'token_emb.weight' in direct.dropped
    assert set(direct.sources.values()) | set(direct.dropped) == set(released)
    kept = convert(released, 'backbone', keep_pre_norm=True)
    assert kept.sources['pre_norm.bias'] == 'tokenizer_norm.bias'


@pytest.mark.parametrize('to, tables', [
    ('addp', TABLES['addp']), ('backbone', ('pos_embed', )),
    ('mage', ('pos_embed', 'decoder_pos_embed'))
])
def test_every_position_table_gets_the_grid(to: str, tables: tuple[str, ...]) -> None:
    before, after = (convert(reference_state_dict(), to, grid_size=g) for g in (None, (8, 6)))
    assert after.resized == list(tables)
    for name, tensor in after.weights.items():
        if name in tables:
            assert tensor.shape[:2] == (1, 49)
            assert torch.equal(tensor[:, 0], before.weights[name][:, 0])
        else:
            assert torch.equal(tensor, before.weights[name])


def test_the_way_back_resizes_too() -> None:
    ours = convert(reference_state_dict()).weights
    back = convert(ours, 'reference', grid_size=(8, 8))
    assert set(back.resized) == {'pos_embed', 'decoder_pos_embed_learned',
                                 'decoder_pos_mask_embed', 'decoder_pos_token_embed'}


@pytest.mark.parametrize('arguments, message', [
    (dict(to='reference'), r"'reference' can become .*'vqgan'\], got 'reference'"),
    (dict(kind='maskgit'), "kind must be one of .*got 'maskgit'"),
    (dict(kind='vqgan'), 'unknown: cls_token'),
    (dict(to='vqgan', grid_size=(8, 8)), 'no position table'),
    (dict(to='addp', keep_pre_norm=True), "is for the target 'backbone', got 'addp'"),
])
def test_impossible_wishes(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        convert(reference_state_dict(), **arguments)


def test_every_kind_has_a_default() -> None:
    assert DEFAULT_TARGETS.keys() == KINDS.keys()
    assert set(DEFAULT_TARGETS.values()) <= set(TABLES)
