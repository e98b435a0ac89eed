"""The plain formulation: ADDP as the reference release computes it, built from our parts.

Two passes of the token predictor one after the other, attention with its scores in float32 memory,
logits over the whole vocabulary at every place, feature maps in the order channels, rows, columns,
and torch's AdamW that is not fused (on a CPU one parameter after the other, on a GPU ``foreach``).
The weights and, up to rounding, all values are those of the fast formulation.
"""
from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from addp_mm.diffusion import DiffusionProcess, Masks, NoisySample
from addp_mm.models.addp import ADDP
from addp_mm.models.mage import MAGE
from addp_mm.registry import MODELS, TASK_UTILS


def plain_attention(query: Tensor, key: Tensor, value: Tensor, dropout_p: float = 0.) -> Tensor:
    """Attention with explicit float32 scores, less their row's largest (reference release).

    Args:
        query: (N, heads, L, dims).
        key: The same shape.
        value: The same shape.
        dropout_p: Dropout of the attention weights.

    Returns:
        The same shape, in the dtype of ``value``.
    """
    with torch.autocast(query.device.type, enabled=False):
        scores = query.float() @ key.float().transpose(-2, -1) * query.shape[-1]**-0.5
        scores = scores - scores.amax(dim=-1, keepdim=True)
        weights = scores.softmax(dim=-1)
    return nn.functional.dropout(weights, dropout_p).to(value.dtype) @ value


@TASK_UTILS.register_module()
class PlainDiffusionProcess(DiffusionProcess):
    """Asks the token predictor once for each mask."""

    def predict(self, token_ids: Tensor, masks: Masks,
                token_predictor: nn.Module) -> tuple[Tensor, Tensor]:
        """See the parent class."""
        filling = token_predictor.predict_probs(token_ids, masks.later)
        return filling, token_predictor.predict_probs(token_ids, masks.now)


@MODELS.register_module()
class PlainMAGE(MAGE):
    """Computes logits over the whole vocabulary and keeps those of the codes."""

    def forward(self, token_ids: Tensor, mask: Tensor, kept: Tensor | None = None) -> Tensor:
        """See the parent class."""
        encoded = self.norm(self.layers(self._embed(token_ids, mask, kept)))
        decoded = self._decode(self.decoder_embed(encoded), mask.flatten(1), kept)
        logits = self.token_projection(decoded, self.token_embed.weight)[:, 1:, :self.num_codes]
        return logits.transpose(1, 2).unflatten(2, self.grid_size)


@MODELS.register_module()
class PlainADDP(ADDP):
    """Computes logits over the whole vocabulary at every place of the sequence."""

    def loss(self, inputs: Tensor, data_samples: NoisySample) -> dict[str, Tensor]:
        """See the parent class."""
        logits = self.predict_tokens(inputs, data_samples)
        return dict(loss_token=self.head.loss_module(logits, data_samples))

    def predict_tokens(self, noisy_images: Tensor, noisy_sample: NoisySample) -> Tensor:
        """See the parent class."""
        features = self.backbone(noisy_images)[-1]
        sequence = self.neck.decode_sequence(features, noisy_sample)
        logits = self.head.token_projection(sequence, self.neck.token_embed.weight)
        num_places = noisy_sample.mask[0].numel()
        return logits[:, 1:1 + num_places].transpose(1, 2).unflatten(2, self.head.grid_size)


def plain_config(model: dict, dtype: str) -> dict:
    """The config of an ADDP, made plain.

    Args:
        model: The config.
        dtype: That of the frozen parts: 'float32', or 'float16' as the reference release trains.
    """
    model = copy.deepcopy(model)
    preprocessor = model['data_preprocessor']
    preprocessor['tokenizer'].update(dtype=dtype, channels_last=False)
    preprocessor['token_predictor'].update(dtype=dtype)
    preprocessor['token_predictor']['model']['type'] = 'PlainMAGE'
    preprocessor['diffusion'] = {**preprocessor.get('diffusion', {}),
                                 'type': 'PlainDiffusionProcess'}
    model['type'] = 'PlainADDP'
    return model


def use_plain_attention(model: ADDP) -> None:
    """Give every attention of a model and of its token predictor explicit scores, in place."""
    for owner in (model, model.data_preprocessor.token_predictor.description):
        for module in owner.modules():
            if hasattr(module, 'scaled_dot_product_attention'):
                module.scaled_dot_product_attention = plain_attention
