from __future__ import annotations

import torch
import torch.nn.functional as F

from addp_mm.models.layers import TokenProjection


def test_logits_by_hand():
    projection = TokenProjection(in_dims=6, embed_dims=4, vocab_size=9)
    torch.nn.init.normal_(projection.bias)
    torch.nn.init.normal_(projection.ln.weight)
    features, embedding = torch.randn(2, 5, 6), torch.randn(9, 4)
    logits = projection(features, embedding)
    hidden = F.gelu(features @ projection.fc.weight.t() + projection.fc.bias)
    centred = hidden - hidden.mean(-1, keepdim=True)
    normed = centred / (hidden.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    hidden = normed * projection.ln.weight + projection.ln.bias
    assert logits.shape == (2, 5, 9)
    torch.testing.assert_close(logits, hidden @ embedding.t() + projection.bias)


def test_the_embedding_learns_only_where_it_is_not_detached():
    for detach in (True, False):
        embedding = torch.randn(9, 4, requires_grad=True)
        projection = TokenProjection(6, 4, 9, detach=detach)
        projection(torch.randn(2, 5, 6), embedding).sum().backward()
        assert (embedding.grad is None) == detach
        assert all(p.grad is not None for p in projection.parameters())
