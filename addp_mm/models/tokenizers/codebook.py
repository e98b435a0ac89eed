"""The codes of a VQ tokenizer.

Shapes: N images, K codes, C code dims, (h, w) token grid.
"""
from __future__ import annotations

import torch
from torch import Tensor, nn


class Codebook(nn.Module):
    """A table of K embeddings, looked up by id, by distance or by a distribution.

    Args:
        num_codes: Number K of codes.
        code_dims: Length C of a code.
    """

    def __init__(self, num_codes: int, code_dims: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_codes, code_dims)
        nn.init.uniform_(self.embedding.weight, -1 / num_codes, 1 / num_codes)

    def assign(self, latents: Tensor) -> Tensor:
        """Nearest code of each place, always computed in float32.

        Args:
            latents: (N, C, h, w).

        Returns:
            Ids (N, h, w), int64.
        """
        n, _, h, w = latents.shape
        return self.distances(latents).argmin(dim=1).view(n, h, w)

    def distances(self, latents: Tensor) -> Tensor:
        """Squared distance of each place to each code, always computed in float32.

        Args:
            latents: (N, C, h, w).

        Returns:
            (N h w, K), less the place's own squared length, which is the same for every code.
        """
        with torch.autocast(latents.device.type, enabled=False):
            points = latents.float().permute(0, 2, 3, 1).flatten(0, 2)         # (N h w, C)
            codes = self.embedding.weight.float()
            return codes.square().sum(dim=1) - 2 * points @ codes.t()

    def lookup(self, token_ids: Tensor) -> Tensor:
        """(N, h, w) ids to (N, C, h, w) embeddings."""
        return self.embedding(token_ids).permute(0, 3, 1, 2)

    def expected(self, probs: Tensor) -> Tensor:
        """(N, K, h, w) distributions to the (N, C, h, w) embeddings expected under them."""
        return torch.einsum('nkhw,kc->nchw', probs, self.embedding.weight)
