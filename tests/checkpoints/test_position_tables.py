from __future__ import annotations

import pytest
import torch
from mmengine.logging import MMLogger
from mmpretrain.models.utils import resize_pos_embed
from torch import nn

from addp_mm.checkpoints import resize_position_table, resize_tables_on_load


def table_of(side: int, dims: int = 2) -> torch.Tensor:
    """A table whose rows are (row, column) in [0, 1], and a CLS row of 9."""
    steps = (torch.arange(side) + 0.5) / side
    rows = torch.stack(torch.meshgrid(steps, steps, indexing='ij'), dim=-1).reshape(1, -1, dims)
    return torch.cat((torch.full((1, 1, dims), 9.), rows), dim=1)


def test_same_grid_is_left_alone():
    table = table_of(4)
    assert resize_position_table(table, (4, 4)) is table


@pytest.mark.parametrize('grid_size', [(8, 8), (6, 8), (4, 6)])
def test_resized_rows_keep_their_place_and_cls_its_value(grid_size: tuple[int, int]):
    height, width = grid_size
    resized = resize_position_table(table_of(4), grid_size)
    assert resized.shape == (1, 1 + height * width, 2)
    assert resized[0, 0].tolist() == [9, 9]
    grid = resized[0, 1:].view(height, width, 2)
    rows, cols = (torch.arange(n).add(0.5).div(n) for n in grid_size)
    # A linear ramp stays one, apart from the border, where bicubic weights are cut off.
    torch.testing.assert_close(grid[..., 0].mean(dim=1), rows, atol=0.04, rtol=0)
    torch.testing.assert_close(grid[..., 1].mean(dim=0), cols, atol=0.04, rtol=0)


def test_a_grid_that_is_not_square_cannot_be_resized():
    with pytest.raises(ValueError, match='square grids only. Got 6 places, wanted 4 x 4'):
        resize_position_table(torch.zeros(1, 7, 2), (4, 4))


def test_a_table_in_the_shape_of_a_map_is_refused():
    with pytest.raises(ValueError, match=r'got \(1, 4, 4, 2\): it is of another kind of encoder'):
        resize_position_table(torch.zeros(1, 4, 4, 2), (4, 4))


class Part(nn.Module):

    def __init__(self, side: int) -> None:
        super().__init__()
        self.table = nn.Parameter(table_of(side))
        self.other = nn.Parameter(torch.zeros(1, 1 + side * side, 2))
        self.size = nn.Parameter(torch.zeros(2))
        resize_tables_on_load(self, ('table', 'other'), (side, side))


def test_tables_are_resized_on_load_below_any_prefix():
    small, large = nn.Sequential(Part(4)), nn.Sequential(Part(6))
    state = small.state_dict()
    large.load_state_dict(state)
    assert torch.equal(large[0].table, resize_position_table(small[0].table, (6, 6)))
    assert large[0].other.shape == (1, 37, 2)
    assert state['0.table'].shape == (1, 17, 2), 'the given state dict was changed'


def test_missing_tables_are_still_reported():
    with pytest.raises(RuntimeError, match='Missing key.*table'):
        Part(4).load_state_dict({'size': torch.zeros(2), 'other': torch.zeros(1, 17, 2)})


def part_of(*grid_size: int) -> nn.Module:
    module = nn.Module()
    module.table = nn.Parameter(torch.rand(1, 65, 2))
    resize_tables_on_load(module, ('table', ), grid_size)
    return nn.Sequential(module)


def test_as_many_places_on_another_grid_are_resized(tmp_path, caplog):
    wide = part_of(4, 16)
    torch.save(wide.state_dict(), tmp_path / 'weights.pth')
    state = torch.load(tmp_path / 'weights.pth', weights_only=True)
    MMLogger.get_current_instance().addHandler(caplog.handler)
    for grid_size in ((4, 16), (8, 8), (16, 4)):
        other = part_of(*grid_size)
        other.load_state_dict(state)
        assert torch.equal(other[0].table, resize_pos_embed(wide[0].table, (4, 16), grid_size))
    assert not caplog.records


def test_tables_of_a_grid_that_nobody_knows_are_warned_of(caplog):
    MMLogger.get_current_instance().addHandler(caplog.handler)
    state = dict(part_of(8, 8).state_dict())
    part_of(8, 8).load_state_dict(state)
    assert not caplog.records
    part_of(2, 32).load_state_dict(state)
    assert 'do not say of which grid' in caplog.text and '2 x 32 places' in caplog.text
