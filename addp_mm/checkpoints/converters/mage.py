"""Released MAGE files -> the ``MAGE`` token predictor, and its encoder -> a token ``ADDPViT``."""
from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from .key_mapping import Conversion, Drop, Rename, apply_table, count_indexes, expand, layer_renames

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

# Rows of the released embedding -> the row of the class token in it (reference release).
RELEASED_CLASS_IDS = {2025: 1100}

ENCODER_DROPS = (
    Drop('decoder_*', 'not part of the encoder'),
    Drop('token_projection.*', 'not part of the encoder'),
)


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


def convert_mage_to_encoder(weights: Mapping[str, Tensor], num_codes: int) -> Conversion:
    """Take the encoder out of a ``MAGE``, for an ``ADDPViT`` that reads tokens.

    The word of the class token becomes the CLS token; the rows of the mask token and of classes,
    which no image has, are left out. The encoder computes the same on unmasked tokens.

    Args:
        weights: Tensors of a ``MAGE``.
        num_codes: Number K of codes of its tokenizer.

    Raises:
        ValueError: If tensors are missing or unknown, or the embedding has neither K + 2 rows nor
            those of the release, so that the row of the class token is not known.
    """
    rows = len(weights['token_embed.weight']) if 'token_embed.weight' in weights else 0
    class_id = num_codes if rows == num_codes + 2 else RELEASED_CLASS_IDS.get(rows)
    if class_id is None or class_id < num_codes:
        raise ValueError(
            f'The token embedding of the MAGE has {rows} rows; for the {num_codes} codes of the '
            f'tokenizer expected {num_codes + 2}, or {list(RELEASED_CLASS_IDS)} as released. Take '
            'the tokenizer that the MAGE was trained with.')
    return apply_table(weights, [
        Rename('token_embed.weight', 'patch_embed.embedding.weight', lambda t: t[:num_codes]),
        Rename('token_embed.weight', 'cls_token', lambda t: t[class_id][None, None]),
        Rename('pos_embed', 'pos_embed'),
        *expand([Rename('embed_norm.{p}', 'pre_norm.{p}'), Rename('norm.{p}', 'ln1.{p}')]),
        *(Rename(name, name) for name in weights if name.startswith('layers.')),
    ], ENCODER_DROPS)


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
