"""Tables of renamed and dropped tensors."""
from __future__ import annotations

import pytest
import torch
from torch import Tensor

from addp_mm.checkpoints.converters.key_mapping import (
    Conversion,
    Drop,
    Rename,
    apply_table,
    convert_part,
    count_indexes,
    expand,
    resize_tables,
)

ROWS = expand([Rename('norm.{p}', 'ln.{p}'), Rename('bias', 'out.bias', Tensor.flatten)])
DROPS = (Drop('loss.*', 'of the training'), Drop('unread', 'never read'))


@pytest.fixture
def weights() -> dict[str, Tensor]:
    return {'norm.weight': torch.ones(2), 'norm.bias': torch.zeros(2),
            'bias': torch.rand(1, 1, 3), 'loss.net.0': torch.zeros(1)}


def test_every_tensor_goes_where_its_row_says(weights: dict) -> None:
    conversion = apply_table(weights, ROWS, DROPS)
    assert conversion.weights.keys() == {'ln.weight', 'ln.bias', 'out.bias'}
    assert conversion.weights['ln.weight'] is weights['norm.weight']
    assert conversion.weights['ln.bias'] is weights['norm.bias']
    assert torch.equal(conversion.weights['out.bias'], weights['bias'][0, 0])
    assert conversion.sources == {'ln.weight': 'norm.weight', 'ln.bias': 'norm.bias',
                                  'out.bias': 'bias'}
    assert conversion.dropped == {'loss.net.0': 'of the training'}


def test_one_error_lists_unknown_and_missing_names(weights: dict) -> None:
    del weights['norm.bias'], weights['bias']
    weights |= {'extra': torch.zeros(1), 'lossy': torch.zeros(1)}
    with pytest.raises(ValueError) as error:
        apply_table(weights, ROWS, DROPS)
    assert '2 unknown: extra, lossy' in str(error.value)
    assert '2 missing: norm.bias, bias' in str(error.value)


def test_a_long_list_is_cut_and_counted() -> None:
    with pytest.raises(ValueError, match=r'50 unknown: 0, 1, .* 39 and 10 more; 0 missing'):
        apply_table({str(i): torch.zeros(1) for i in range(50)}, [])


def test_reversed_rows_undo_the_table(weights: dict) -> None:
    rows = [Rename('bias', 'out.bias', Tensor.flatten, lambda bias: bias[None, None])]
    there = apply_table({'bias': weights['bias']}, rows)
    back = apply_table(there.weights, [row.reversed() for row in rows])
    assert torch.equal(back.weights['bias'], weights['bias'])


def test_count_indexes() -> None:
    weights = {'blocks.0.a': 0, 'blocks.11.a': 0, 'more_blocks.20.a': 0}
    assert count_indexes(weights, 'blocks.') == 12
    assert count_indexes({'blocks.x.a': 0}, 'blocks.') == 1


def test_a_part_is_converted_and_the_rest_dropped(weights: dict) -> None:
    outer = {f'part.{k}': v for k, v in weights.items()} | {'norm.weight': torch.ones(1)}
    conversion = convert_part(outer, 'part.', lambda part: apply_table(part, ROWS, DROPS))
    assert conversion.weights.keys() == {'ln.weight', 'ln.bias', 'out.bias'}
    assert conversion.sources['ln.bias'] == 'part.norm.bias'
    assert conversion.dropped == {'norm.weight': "not under 'part.'",
                                  'part.loss.net.0': 'of the training'}
    with pytest.raises(ValueError, match="no tensors under 'other.'"):
        convert_part(outer, 'other.', apply_table)


def test_resized_tables_keep_the_row_of_cls() -> None:
    table = torch.rand(1, 17, 8)
    conversion = Conversion({'pos_embed': table, 'mask': torch.rand(1, 1, 8)}, {})
    resize_tables(conversion, ('pos_embed', 'absent'), (6, 3))
    resized = conversion.weights['pos_embed']
    assert resized.shape == (1, 19, 8) and conversion.resized == ['pos_embed']
    assert torch.equal(resized[:, :1], table[:, :1])
    # Row-major: what grows from top to bottom still does.
    ramp = torch.arange(4.).repeat_interleave(4)[None, :, None]
    conversion = Conversion({'pos_embed': torch.cat((ramp[:, :1], ramp), dim=1)}, {})
    resize_tables(conversion, ['pos_embed'], (8, 3))
    rows = conversion.weights['pos_embed'][0, 1:, 0].view(8, 3)
    assert (rows.diff(dim=0) > 0).all() and torch.allclose(rows[:, 0], rows[:, 2])


def test_the_same_grid_changes_nothing() -> None:
    table = torch.rand(1, 17, 8)
    conversion = Conversion({'pos_embed': table}, {})
    resize_tables(conversion, ['pos_embed'], (4, 4))
    assert conversion.weights['pos_embed'] is table and not conversion.resized


def test_resizing_without_a_table_is_an_error() -> None:
    with pytest.raises(ValueError, match='no position table'):
        resize_tables(Conversion({}, {}), ['pos_embed'], (4, 4))
