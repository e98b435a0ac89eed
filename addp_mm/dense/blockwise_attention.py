"""Attention with decomposed relative positions on a CPU, block by block of queries.

Folding the relative terms into channels (``folded_attention``) triples the arithmetic of a global
block, which a GPU does not notice and a CPU does. Here the terms are added to a block of scores
that stays in the cache; the backward pass computes the block again, so that only the queries, keys
and values are kept.

Shapes: M batch of images or windows, H heads, (h, w) grid of L = h * w places, d head dims.
"""
from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from .relative_positions import relative_terms

BLOCK_SCORES = 2**19        # 2 MB in float32: about what a core's cache holds


def blocks(num_heads: int, num_places: int) -> Iterator[tuple[slice, slice]]:
    """Yield slices of the heads and of the queries, with at most ``BLOCK_SCORES`` scores."""
    heads = min(num_heads, max(1, BLOCK_SCORES // num_places**2))
    queries = min(num_places, max(1, BLOCK_SCORES // (heads * num_places)))
    for head in range(0, num_heads, heads):
        for query in range(0, num_places, queries):
            yield slice(head, head + heads), slice(query, query + queries)


def attention_weights(q: Tensor, k: Tensor, to_rows: Tensor, to_cols: Tensor) -> Tensor:
    """Compute the attention weights of a block of n heads and m queries.

    Args:
        q: (n, m, d).
        k: (n, L, d).
        to_rows: Relative terms by row of the key (n, m, h).
        to_cols: Relative terms by column of the key (n, m, w).

    Returns:
        (n, m, L).
    """
    scores = torch.baddbmm(q.new_zeros(()), q, k.transpose(1, 2), beta=0, alpha=q.shape[-1]**-0.5)
    grid = scores.unflatten(-1, (to_rows.shape[-1], to_cols.shape[-1]))
    grid.add_(to_rows[..., None]).add_(to_cols[..., None, :])
    return scores.softmax(dim=-1)


class BlockwiseAttention(torch.autograd.Function):
    """The same as ``plain_attention`` with the same arguments, in float32 under autocast."""

    @staticmethod
    @torch.amp.custom_fwd(device_type='cpu', cast_inputs=torch.float32)
    def forward(ctx: FunctionCtx, qkv: Tensor, vectors_h: Tensor, vectors_w: Tensor) -> Tensor:
        """Compute (M, h, w, H, d) from (M, h, w, 3, H, d)."""
        terms = relative_terms(qkv[:, :, :, 0], vectors_h, vectors_w)
        out = torch.empty_like(qkv[:, :, :, 0], memory_format=torch.contiguous_format)
        for image in range(len(qkv)):
            result = by_head(out[image])
            q, k, v = by_head(qkv[image]).contiguous()
            for head, query in blocks(*q.shape[:2]):
                weights = attention_weights(q[head, query], k[head],
                                            *(term[image, head, query] for term in terms))
                result[head, query] = weights @ v[head]
        ctx.save_for_backward(qkv, vectors_h, vectors_w)
        return out

    @staticmethod
    @once_differentiable
    @torch.amp.custom_bwd(device_type='cpu')
    def backward(ctx: FunctionCtx, grad_out: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the gradients of ``qkv`` and of the two kinds of vectors."""
        qkv, *vectors = ctx.saved_tensors
        with torch.enable_grad():
            inputs = [tensor.detach().requires_grad_() for tensor in (qkv[:, :, :, 0], *vectors)]
            terms = relative_terms(*inputs)
        grad_qkv = torch.empty_like(qkv, memory_format=torch.contiguous_format)
        grad_terms = [torch.empty_like(term) for term in terms]
        for image, grad in enumerate(grad_out):
            by_head(grad_qkv[image]).copy_(backward_of_image(
                by_head(qkv[image]).contiguous(), [term.detach()[image] for term in terms],
                [term[image] for term in grad_terms], by_head(grad).contiguous()))
        grad_q, *grad_vectors = torch.autograd.grad(terms, inputs, grad_terms)
        grad_qkv[:, :, :, 0] += grad_q
        return grad_qkv, *grad_vectors


def backward_of_image(qkv: Tensor, terms: list[Tensor], grad_terms: list[Tensor],
                      grad_out: Tensor) -> Tensor:
    """Compute the gradients of one image or window.

    Args:
        qkv: Queries, keys and values (3, H, L, d).
        terms: Relative terms (H, L, h) and (H, L, w).
        grad_terms: Gets their gradients.
        grad_out: Gradient of the result (H, L, d).

    Returns:
        The gradient of ``qkv``.
    """
    (q, k, v), scale = qkv, qkv.shape[-1]**-0.5
    grad_qkv = torch.zeros_like(qkv)
    grad_q, grad_k, grad_v = grad_qkv
    for head, query in blocks(*q.shape[:2]):
        block = head, query
        weights = attention_weights(q[block], k[head], *(term[block] for term in terms))
        grad_v[head].baddbmm_(weights.transpose(1, 2), grad_out[block])
        grad_scores = grad_out[block] @ v[head].transpose(1, 2)
        # Through the softmax, from p and g: p * g - p * sum(p * g).
        grad_scores.mul_(weights)
        grad_scores.addcmul_(weights, grad_scores.sum(dim=-1, keepdim=True), value=-1)
        grad_q[block] = torch.baddbmm(q.new_zeros(()), grad_scores, k[head], beta=0, alpha=scale)
        grad_k[head].baddbmm_(grad_scores.transpose(1, 2), q[block], alpha=scale)
        grid = grad_scores.unflatten(-1, tuple(term.shape[-1] for term in terms))
        torch.sum(grid, dim=-1, out=grad_terms[0][block])
        torch.sum(grid, dim=-2, out=grad_terms[1][block])
    return grad_qkv


def by_head(tensor: Tensor) -> Tensor:
    """View (h, w, ..., H, d) as (..., H, L, d)."""
    return tensor.flatten(0, 1).movedim(0, -2)
