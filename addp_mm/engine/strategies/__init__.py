"""How mmengine's FlexibleRunner spreads a training over processes."""
from .fully_shard_strategy import FullyShardStrategy

__all__ = ['FullyShardStrategy']
