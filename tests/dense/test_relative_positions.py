from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.models.backbones.vit_sam import get_rel_pos
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from addp_mm.dense import blockwise_attention
from addp_mm.dense.blockwise_attention import BlockwiseAttention, blocks
from addp_mm.dense.relative_positions import folded_attention, plain_attention, relative_vectors
from tests.helpers.same_values import assert_same_values

EXACT = dict(folded=folded_attention, blockwise=BlockwiseAttention.apply)


def make_inputs(grid_size: tuple[int, int] = (3, 5), batch: int = 2, num_heads: int = 2,
                dims: int = 8, **kwargs) -> list[Tensor]:
    height, width = grid_size
    inputs = [torch.randn(batch, height, width, 3, num_heads, dims, **kwargs)]
    inputs += [relative_vectors(torch.randn(2 * side - 1, dims, **kwargs), side)
               for side in grid_size]
    return [tensor.requires_grad_() for tensor in inputs]


def outputs_and_grads(attend: Callable[..., Tensor], inputs: list[Tensor]) -> list[Tensor]:
    out = attend(*inputs)
    weights = torch.linspace(-1, 1, out.numel(), device=out.device).view_as(out)
    return [out, *torch.autograd.grad((out * weights).sum(), inputs)]


def test_plain_attention_is_the_formula():
    height, width, dims = 2, 3, 8
    qkv = torch.randn(1, height, width, 3, 1, dims)
    tables = torch.randn(2 * height - 1, dims), torch.randn(2 * width - 1, dims)
    out = plain_attention(qkv, relative_vectors(tables[0], height),
                          relative_vectors(tables[1], width))
    q, k, v = qkv[0, :, :, :, 0].unbind(2)
    for i in range(height):
        for j in range(width):
            scores = [
                q[i, j] @ k[a, b] / math.sqrt(dims) + q[i, j] @ tables[0][i - a + height - 1]
                + q[i, j] @ tables[1][j - b + width - 1] for a in range(height)
                for b in range(width)
            ]
            want = torch.stack(scores).softmax(0) @ v.flatten(0, 1)
            torch.testing.assert_close(out[0, i, j, 0], want)


@pytest.mark.parametrize('name', EXACT)
@pytest.mark.parametrize('grid_size', [(3, 5), (7, 7), (1, 4)])
def test_equals_plain_attention(name: str, grid_size: tuple[int, int], monkeypatch):
    monkeypatch.setattr(blockwise_attention, 'BLOCK_SCORES', 60)      # cuts heads and queries
    inputs = make_inputs(grid_size)
    want = outputs_and_grads(plain_attention, inputs)
    for got, expected in zip(outputs_and_grads(EXACT[name], inputs), want, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def test_blockwise_gradients_are_those_of_its_result():
    assert torch.autograd.gradcheck(BlockwiseAttention.apply,
                                    make_inputs((2, 3), 1, dtype=torch.float64))


@pytest.mark.parametrize(('num_heads', 'num_places'), [(12, 196), (12, 4096), (2, 10), (3, 10**6)])
def test_blocks_cover_all_scores_and_stay_small(num_heads: int, num_places: int):
    if num_places < 5000:
        seen = torch.zeros(num_heads, num_places)
        for block in blocks(num_heads, num_places):
            seen[block] += 1
        assert (seen == 1).all()
    head, query = next(blocks(num_heads, num_places))
    size = (head.stop - head.start) * (query.stop - query.start) * num_places
    assert size <= max(blockwise_attention.BLOCK_SCORES, num_places)


@pytest.mark.parametrize('name', EXACT)
def test_holds_no_scores(name: str):
    grid_size, num_heads = (16, 16), 2
    saved: list[int] = []

    def pack(tensor: Tensor) -> Tensor:
        saved.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        EXACT[name](*make_inputs(grid_size, batch=1, num_heads=num_heads))
    assert saved and max(saved) < num_heads * 256**2 / 2


def test_folded_attention_runs_on_the_flash_kernel_of_the_cpu():
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):           # raises where it cannot be taken
        folded_attention(*make_inputs())


def test_folded_attention_has_the_widths_that_gpu_kernels_demand():
    shapes = []

    class SeenShapes(TorchFunctionMode):

        def __torch_function__(self, func, types, args=(), kwargs=None):
            if func is F.scaled_dot_product_attention:
                shapes.extend(tensor.shape for tensor in args)
            return func(*args, **(kwargs or {}))

    with SeenShapes():
        out = folded_attention(*make_inputs((3, 6)))
    assert [tuple(shape) for shape in shapes] == 3 * [(2, 2, 18, 24)]      # 8 + 3 + 6, filled up
    assert out.shape == (2, 3, 6, 2, 8)


@pytest.mark.gpu
@pytest.mark.parametrize(('dtype', 'backend'), [
    (torch.bfloat16, SDPBackend.FLASH_ATTENTION),
    (torch.float32, SDPBackend.EFFICIENT_ATTENTION),
])
@pytest.mark.parametrize(('grid_size', 'dims'), [((14, 14), 8), ((14, 14), 64), ((64, 64), 64)])
def test_folded_attention_runs_on_the_fused_kernels_of_the_gpu(
        dtype: torch.dtype, backend: SDPBackend, grid_size: tuple[int, int], dims: int,
        gpu: torch.device):
    """Also at the sizes of ViTDet at 1024 pixels: its windows, and its global layers."""
    if gpu.type == 'cpu':               # has the first kernel only, and less time
        backend, grid_size = SDPBackend.FLASH_ATTENTION, grid_size if dims == 8 else (3, 5)
    inputs = make_inputs(grid_size, batch=1, dims=dims, device=gpu, dtype=dtype)
    with sdpa_kernel(backend):
        got = outputs_and_grads(folded_attention, inputs)
    want = outputs_and_grads(plain_attention, [tensor.float() for tensor in inputs])
    for number, (a, b) in enumerate(zip(got, want, strict=True)):
        assert_same_values({str(number): a}, {str(number): b},
                           bound=1e-3 if dtype == torch.float32 else 0.03)


def test_blockwise_attention_computes_in_float32_under_autocast():
    inputs = make_inputs()
    want = outputs_and_grads(BlockwiseAttention.apply, inputs)
    with torch.autocast('cpu', torch.bfloat16):
        got = outputs_and_grads(BlockwiseAttention.apply, inputs)
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))


@pytest.mark.parametrize('size', [3, 4, 7])
def test_relative_vectors_are_those_of_vitsam(size: int):
    table = torch.randn(7, 5)
    torch.testing.assert_close(relative_vectors(table, size), get_rel_pos(size, size, table))
