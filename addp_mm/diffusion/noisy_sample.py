"""What the diffusion process hands to the network."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class NoisySample:
    """The tokens behind a batch of noisy images.

    Shapes: N images, (h, w) token grid, K codes.

    Attributes:
        token_ids: z_0, (N, h, w) int64.
        mask: m_t, (N, h, w) bool, True = unreliable.
        target_probs: q(z_{t-1} | z_t), (N, K, h, w); None where nothing is to be learned.
        num_reliable: Number of reliable tokens per image, where it is the same for all images;
            None where it differs. Known on the host, so that no device has to be waited for.
    """

    token_ids: Tensor
    mask: Tensor
    target_probs: Tensor | None = None
    num_reliable: int | None = None

    def reliable_tokens(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """The reliable tokens of each image in row-major order.

        Images with fewer reliable tokens than the fullest one are padded at the end.

        Returns:
            Their ids (N, R), their flat places on the grid (N, R), and the padding (N, R) bool
            (True = no token), None if there is none.
        """
        mask, ids = self.mask.flatten(1), self.token_ids.flatten(1)
        count, padding = self.num_reliable, None
        if count is None:
            counts = (~mask).sum(dim=1)
            count = int(counts.max())
            padding = torch.arange(count, device=mask.device) >= counts[:, None]
        places = mask.byte().argsort(dim=1, stable=True)[:, :count]
        return ids.gather(1, places), places, padding
