"""Attention with decomposed relative positions: its definition, and the one for fused kernels.

The score of a query at (i, j) and a key at (a, b) is q.k / sqrt(d) + q.R_h[i - a] + q.R_w[j - b]
(MViTv2, arXiv 2112.01526; ViTDet, arXiv 2203.16527). Written out, that is a bias of the size of the
scores, which no fused kernel takes without holding it. But it is a dot product too, of the query
with its h + w relative terms behind it and the key with two one-hot vectors behind it:

    q' = [q, q.R_h / s, q.R_w / s],   k' = [k, onehot(a), onehot(b)],   score = s * q'.k'

with s = 1 / sqrt(d). So ``scaled_dot_product_attention`` computes it exactly, and nothing of
L x L entries is held.

Shapes: M batch of images or windows, H heads, (h, w) grid of L = h * w places, d head dims.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models.layers import is_exporting


def resize_relative_table(table: Tensor, length: int) -> Tensor:
    """Interpolate a table (length', d) linearly to (length, d)."""
    if not is_exporting() and len(table) == length:
        return table
    return F.interpolate(table.t()[None], size=length, mode='linear')[0].t()


def relative_vectors(table: Tensor, size: int) -> Tensor:
    """Look up the vector of every pair of places along one axis.

    Args:
        table: (2 * size - 1, d), ordered by distance; another length is interpolated linearly.
        size: Places along the axis.

    Returns:
        (size, size, d): [i, a] belongs to distance i - a.
    """
    table = resize_relative_table(table, 2 * size - 1)
    places = torch.arange(size, device=table.device)
    return table[places[:, None] - places + size - 1]


def relative_terms(q: Tensor, vectors_h: Tensor, vectors_w: Tensor) -> tuple[Tensor, Tensor]:
    """Compute what relative positions add to the scores, still apart for rows and columns.

    Args:
        q: Queries (M, h, w, H, d).
        vectors_h: :func:`relative_vectors` of the rows (h, h, d).
        vectors_w: Those of the columns (w, w, d).

    Returns:
        (M, H, L, h) for the row of the key, and (M, H, L, w) for its column.
    """
    to_rows = torch.einsum('mhwnd,had->mnhwa', q, vectors_h)
    to_cols = torch.einsum('mhwnd,wbd->mnhwb', q, vectors_w)
    return to_rows.flatten(2, 3), to_cols.flatten(2, 3)


def plain_attention(qkv: Tensor, vectors_h: Tensor, vectors_w: Tensor) -> Tensor:
    """The definition, with all scores in memory.

    Args:
        qkv: Queries, keys and values (M, h, w, 3, H, d).
        vectors_h: :func:`relative_vectors` of the rows (h, h, d).
        vectors_w: Those of the columns (w, w, d).

    Returns:
        (M, h, w, H, d).
    """
    height, width = qkv.shape[1:3]
    to_rows, to_cols = relative_terms(qkv[:, :, :, 0], vectors_h, vectors_w)
    q, k, v = qkv.flatten(1, 2).permute(2, 0, 3, 1, 4)                    # each (M, H, L, d)
    scores = (q * q.shape[-1]**-0.5) @ k.transpose(-2, -1)
    bias = to_rows[..., None] + to_cols[..., None, :]                       # (M, H, L, h, w)
    out = (scores + bias.flatten(-2)).softmax(dim=-1) @ v
    return out.transpose(1, 2).unflatten(1, (height, width))


def folded_attention(qkv: Tensor, vectors_h: Tensor, vectors_w: Tensor) -> Tensor:
    """The same as :func:`plain_attention` through ``scaled_dot_product_attention``.

    The channels are filled up to a multiple of 8, and those of the values to as many: the kernels
    demand it (flash attention equal widths, memory-efficient attention aligned ones). CUDA's flash
    attention takes up to 256 channels, that is h + w = 192 for d = 64.
    """
    height, width, _, _, dims = qkv.shape[1:]
    scale = dims**-0.5
    terms = relative_terms(qkv[:, :, :, 0], vectors_h / scale, vectors_w / scale)
    q, k, v = qkv.flatten(1, 2).permute(2, 0, 3, 1, 4)                    # each (M, H, L, d)
    fill = q.new_zeros(()).expand(*q.shape[:-1], -(dims + height + width) % 8)
    # Autocast may leave the terms in another type than the queries.
    q = torch.cat((q, *(term.to(q.dtype) for term in terms), fill), dim=-1)
    rows = torch.eye(height, dtype=k.dtype, device=k.device).repeat_interleave(width, dim=0)
    cols = torch.eye(width, dtype=k.dtype, device=k.device).repeat(height, 1)
    places = (places.expand(*k.shape[:-1], -1) for places in (rows, cols))
    k = torch.cat((k, *places, fill), dim=-1)
    v = F.pad(v, (0, q.shape[-1] - dims))
    out = F.scaled_dot_product_attention(q, k, v, scale=scale)[..., :dims]
    return out.transpose(1, 2).unflatten(1, (height, width))
