"""Training of a MAGE token predictor (stage 2 of one's own images).

Shapes: N images, (h, w) token grid, L = h * w, K codes.
"""
from __future__ import annotations

import torch
from mmengine.model import BaseModel
from torch import Tensor

from ...diffusion import NoisySample, nested_masks, num_masked, uniform_noise
from ...registry import MODELS, TASK_UTILS
from ..layers import VAL_RATIOS, score_masked_tokens, val_generators


@MODELS.register_module()
class MAGETraining(BaseModel):
    """Masked token modelling with variable ratio (MAGE, arXiv 2211.09117, Sec. 3).

    A ratio is drawn for the batch, that share of the tokens is masked, ``drop_ratio`` of all
    tokens, every one of them masked, is left out of the encoder, and the masked tokens are to be
    predicted.

    Args:
        data_preprocessor: Config of a ``TokenDataPreprocessor``.
        token_predictor: Config of the token predictor; number of codes and grid come from the
            tokenizer unless they are named.
        mask_ratio: Config of the distribution of mask ratios.
        drop_ratio: Share of tokens that the encoder does not see; at most the smallest mask ratio
            (reference release: 0.5).
        loss: Config of the loss on the masked tokens.
        val_ratios: Mask ratios at which held-out images are scored.
        sampler: Options of the ``DenoisingSampler``, see :class:`ADDP`.
        init_cfg: Config of the start values.

    Raises:
        ValueError: If ``drop_ratio`` is outside of [0, 1).
    """

    def __init__(self, data_preprocessor: dict, token_predictor: dict,
                 mask_ratio: dict | None = None, drop_ratio: float = 0.5,
                 loss: dict | None = None, val_ratios: tuple[float, ...] = VAL_RATIOS,
                 sampler: dict | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(MODELS.build(data_preprocessor), init_cfg)
        if not 0 <= drop_ratio < 1:
            raise ValueError(f'drop_ratio must lie in [0, 1), got {drop_ratio}.')
        tokenizer = self.data_preprocessor
        sizes = dict(num_codes=tokenizer.num_codes, grid_size=tokenizer.grid_size)
        self.token_predictor = MODELS.build({**sizes, **token_predictor})
        self._check_sizes()
        self.mask_ratio = TASK_UTILS.build(mask_ratio or dict(type='TruncatedNormalMaskRatio'))
        self.loss_module = MODELS.build(loss or dict(type='MaskedTokenLoss', target='hard'))
        self.drop_ratio = drop_ratio
        self.val_ratios = tuple(val_ratios)
        self.sampler = dict(sampler or {})

    def _check_sizes(self) -> None:
        predictor, tokenizer = self.token_predictor, self.data_preprocessor
        made_for = predictor.num_codes, tuple(predictor.grid_size)
        if made_for != (tokenizer.num_codes, tuple(tokenizer.grid_size)):
            raise ValueError(
                f'The token predictor is made for {made_for[0]} codes on the grid {made_for[1]}, '
                f'the tokenizer gives {tokenizer.num_codes} codes on {tokenizer.grid_size}. Leave '
                'num_codes and grid_size of model.token_predictor out.')

    def init_weights(self) -> None:
        """Set the start values and read the tokenizer's weights."""
        super().init_weights()
        self.data_preprocessor.load_frozen()

    def forward(self, inputs: Tensor, data_samples: list | None = None,
                mode: str = 'tensor') -> dict[str, Tensor] | list[dict] | Tensor:
        """Run one of the modes.

        Args:
            inputs: Token ids (N, h, w).
            data_samples: Read by 'predict' only, for the images' ``sample_idx``.
            mode: 'loss': a dict of losses; 'predict': what ``MaskedTokenCrossEntropy`` takes;
                'tensor': logits (N, K, h, w) with every token masked.

        Raises:
            ValueError: If the mode is unknown.
        """
        if mode == 'loss':
            return self.loss(inputs)
        if mode == 'predict':
            return [self._score(inputs, data_samples, ratio) for ratio in self.val_ratios]
        if mode == 'tensor':
            return self.token_predictor(inputs, torch.ones_like(inputs, dtype=torch.bool))
        raise ValueError(f"mode must be 'loss', 'predict' or 'tensor', got {mode!r}.")

    def loss(self, token_ids: Tensor) -> dict[str, Tensor]:
        """Mask, predict, and score token ids (N, h, w); ``loss_token`` is in nats per token."""
        num_tokens = token_ids[0].numel()
        count = num_masked(self.mask_ratio.sample()[0], num_tokens)
        num_dropped = min(num_masked(self.drop_ratio, num_tokens), count)
        noise = torch.rand(token_ids.shape, device=token_ids.device)
        dropped, mask = nested_masks(noise, num_dropped, count)
        kept = dropped.flatten(1).byte().argsort(dim=1, stable=True)[:, :num_tokens - num_dropped]
        logits = self.token_predictor(token_ids, mask, kept)
        sample = NoisySample(token_ids, mask, num_reliable=num_tokens - count)
        return dict(loss_token=self.loss_module(logits, sample))

    def _score(self, token_ids: Tensor, data_samples: list | None, ratio: float) -> dict:
        generators = val_generators(ratio, data_samples, len(token_ids))
        noise = uniform_noise(token_ids.shape, token_ids.device, generators)
        mask = nested_masks(noise, num_masked(ratio, token_ids[0].numel()))[0]
        logits = self.token_predictor(token_ids, mask)
        return score_masked_tokens(logits, NoisySample(token_ids, mask), ratio)
