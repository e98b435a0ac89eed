"""Released MAGE files -> the ``MAGE`` token predictor."""
from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from .key_mapping import Conversion, Drop, Rename, apply_table, count_indexes, expand
from .transformer_layers import layer_renames

DROPS = (
    Drop('cls_token', 'never read: the class token is a row of the token embedding'),
    Drop('pos_embed', 'never read: the table of pixel patches'),
    Drop('patch_embed.*', 'never read: the tokens come from the tokenizer'),
    Drop('mask_token', 'never read: masked places take the encoder\'s CLS output'),
    Drop('decoder_pos_embed', 'never read: the sin-cos table'),
    Drop('decoder_pred.*', 'never read: a projection to pixels'),
    Drop('token_emb.position_ids', 'a constant: 0, 1, 2, ...'),
    Drop('vqgan.*', 'the tokenizer, which has its own file (--to vqgan)'),
)

TABLES = ('pos_embed', 'decoder_pos_embed')


def convert_mage(weights: Mapping[str, Tensor]) -> Conversion:
    """Convert a released MAGE.

    Args:
        weights: Tensors of the file.

    Raises:
        ValueError: If tensors are missing or unknown.
    """
    renames = [
        *expand(_rows(weights)),
        *layer_renames('blocks', 'layers', count_indexes(weights, 'blocks.')),
        *layer_renames('decoder_blocks', 'decoder_layers',
                       count_indexes(weights, 'decoder_blocks.')),
    ]
    return apply_table(weights, renames, DROPS)


def _rows(weights: Mapping[str, Tensor]) -> list[Rename]:
    learned = weights.get('decoder_pos_embed_learned')
    length = None if learned is None else learned.shape[1]

    def to_table(embedding: Tensor) -> Tensor:
        """(R, D) -> (1, 1 + L, D); the embedding may have rows that no sequence reaches."""
        return embedding[None, :length]

    return [
        Rename('token_emb.word_embeddings.weight', 'token_embed.weight'),
        Rename('token_emb.position_embeddings.weight', 'pos_embed', to_table),
        Rename('token_emb.LayerNorm.{p}', 'embed_norm.{p}'),
        Rename('norm.{p}', 'norm.{p}'),
        Rename('decoder_embed.{p}', 'decoder_embed.{p}'),
        Rename('decoder_pos_embed_learned', 'decoder_pos_embed'),
        Rename('decoder_norm.{p}', 'decoder_norm.{p}'),
        Rename('mlm_layer.fc.{p}', 'token_projection.fc.{p}'),
        Rename('mlm_layer.ln.{p}', 'token_projection.ln.{p}'),
        Rename('mlm_layer.bias', 'token_projection.bias', Tensor.flatten),
    ]
