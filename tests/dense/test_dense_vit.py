from __future__ import annotations

import torch
from mmcv.cnn.bricks.transformer import FFN
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from addp_mm.dense.dense_vit import LeanFeedForward


def build() -> tuple[FFN, LeanFeedForward]:
    ffn = FFN(8, 32, act_cfg=dict(type='GELU'), layer_scale_init_value=0.5)
    return ffn, LeanFeedForward(ffn)


def outputs_and_grads(ffn: torch.nn.Module, tokens: Tensor) -> list[Tensor]:
    out = ffn(tokens, identity=tokens.cos())
    return [out, *torch.autograd.grad(out.square().sum(), [tokens, *ffn.parameters()])]


def test_equals_ffn_under_the_same_names():
    ffn, lean = build()
    tokens = torch.randn(2, 3, 4, 8, requires_grad=True)
    for a, b in zip(outputs_and_grads(lean, tokens), outputs_and_grads(ffn, tokens), strict=True):
        assert torch.equal(a, b)
    assert list(dict(lean.named_parameters())) == list(dict(ffn.named_parameters()))
    with torch.no_grad():
        assert torch.equal(lean(tokens, tokens), ffn(tokens, tokens))


def test_keeps_one_hidden_map_and_computes_no_product_again():
    kept, flops = [], []
    for ffn in build():
        sizes = []

        def pack(tensor: Tensor, sizes: list = sizes) -> Tensor:
            sizes.append(tensor.numel())
            return tensor

        tokens = torch.randn(2, 50, 8, requires_grad=True)
        with FlopCounterMode(display=False) as counter:
            with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
                out = ffn(tokens, identity=tokens)
            out.sum().backward()
        kept.append(sizes.count(2 * 50 * 32))
        flops.append(counter.get_total_flops())
    assert kept[0] == 2 and kept[1] <= 1
    assert flops[0] == flops[1]
