"""Stage 3: noisy images, encoder, token decoder and head, and the algorithm (paper Fig. 4)."""
from .addp import ADDP
from .masked_pixel_head import MaskedPixelHead
from .noisy_images import ADDPDataPreprocessor
from .pixel_head import PixelHead
from .token_decoder import TokenDecoder
from .token_head import TokenHead
from .vit import ADDPViT

__all__ = [
    'ADDP', 'ADDPDataPreprocessor', 'ADDPViT', 'MaskedPixelHead', 'PixelHead', 'TokenDecoder',
    'TokenHead'
]
