"""Names of a transformer layer's parameters, in timm's layout and in mmpretrain's."""
from __future__ import annotations

from .key_mapping import Rename, expand

_LAYER = (
    ('norm1', 'ln1'),
    ('attn.qkv', 'attn.qkv'),
    ('attn.proj', 'attn.proj'),
    ('norm2', 'ln2'),
    ('mlp.fc1', 'ffn.layers.0.0'),
    ('mlp.fc2', 'ffn.layers.1'),
)


def layer_renames(source: str, target: str, depth: int) -> list[Rename]:
    """Rows for a stack of layers.

    Args:
        source: Name of the stack in timm's layout, for example 'blocks'.
        target: Name of the stack in mmpretrain's layout, for example 'backbone.layers'.
        depth: Number of layers.
    """
    return expand(Rename(f'{source}.{i}.{theirs}.{{p}}', f'{target}.{i}.{ours}.{{p}}')
                  for i in range(depth) for theirs, ours in _LAYER)
