from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.models.utils import MultiheadAttention
from torch import nn
from torch.overrides import TorchFunctionMode

from addp_mm.dense.attention import (
    PositionBiasAttention,
    RelativePositionAttention,
    join_windows,
    split_windows,
)
from addp_mm.dense.position_bias import position_bias


class CalledFunctions(TorchFunctionMode):
    """Notes the functions of torch that are called."""

    def __init__(self) -> None:
        super().__init__()
        self.functions = set()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.functions.add(func)
        return func(*args, **(kwargs or {}))


def bias_attention(grid_size: tuple[int, int], **kwargs) -> PositionBiasAttention:
    attn = PositionBiasAttention(MultiheadAttention(16, 2), grid_size, **kwargs)
    nn.init.normal_(attn.relative_position_bias_table)
    return attn


def test_position_bias_reaches_the_scores_also_without_cls():
    attn = bias_attention((3, 4))
    patches = torch.randn(2, 12, 16)
    q, k, v = attn.qkv(patches).view(2, 12, 3, 2, 8).permute(2, 0, 3, 1, 4)
    bias = position_bias(attn.relative_position_bias_table, (3, 4))[:, 1:, 1:]
    out = (q @ k.transpose(2, 3) / 8**0.5 + bias).softmax(-1) @ v
    want = attn.proj(out.transpose(1, 2).reshape(2, 12, 16))
    torch.testing.assert_close(attn(patches, (3, 4)), want)


def test_position_bias_runs_on_the_fused_kernels_unless_told():
    for fused in (True, False):
        with CalledFunctions() as called:
            bias_attention((3, 4), fused=fused)(torch.randn(2, 13, 16), (3, 4))
        assert (F.scaled_dot_product_attention in called.functions) == fused


def test_tables_without_a_noted_grid_are_resized_from_square_grids_only():
    bias_attention((4, 8)).load_state_dict(dict(bias_attention((5, 5)).state_dict()))
    bias_attention((4, 4)).load_state_dict(bias_attention((4, 8)).state_dict())
    with pytest.raises(ValueError, match='Got a bias table of 108 rows'):
        bias_attention((4, 4)).load_state_dict(dict(bias_attention((4, 8)).state_dict()))


def test_projections_keep_their_names():
    plain = MultiheadAttention(16, 2, layer_scale_init_value=1.)
    attn = RelativePositionAttention(plain, (3, 4))
    names = {name for name, _ in attn.named_parameters()}
    assert names == {name for name, _ in plain.named_parameters()} | {'rel_pos_h', 'rel_pos_w'}
    assert (attn.rel_pos_h.shape, attn.rel_pos_w.shape) == ((5, 8), (7, 8))


@pytest.mark.parametrize('grid_size', [(4, 6), (5, 7), (1, 9), (2, 1)])
def test_join_undoes_split(grid_size: tuple[int, int]):
    features = torch.randn(3, *grid_size, 5)
    windows = split_windows(features, 2)
    assert windows.shape[1:] == (2, 2, 5)
    assert torch.equal(join_windows(windows, grid_size), features)


def test_windows_go_row_by_row_and_are_filled_with_zeros():
    features = torch.arange(1., 13).view(1, 3, 4, 1)
    windows = split_windows(features, 2)
    assert windows[0].flatten().tolist() == [1, 2, 5, 6]
    assert windows[1].flatten().tolist() == [3, 4, 7, 8]
    assert windows[2].flatten().tolist() == [9, 10, 0, 0]
