"""Generation and editing of images: a sampler that knows networks as functions only."""
from .cuda_graphs import CapturedFunction, capture_networks
from .image_generator import ImageGenerator, as_saved, from_pixels, to_pixels
from .image_noise import ImageNoise, confidence, draw_ids, image_seed
from .inpainting import Inpainting, blend_weights, extend, fill_masked, uncrop_margins
from .networks import Networks, networks_of
from .sampler import DenoisingSampler, SamplingResult, SamplingState
from .schedule import UnmaskingSchedule

__all__ = [
    'CapturedFunction', 'DenoisingSampler', 'ImageGenerator', 'ImageNoise', 'Inpainting',
    'Networks', 'SamplingResult', 'SamplingState', 'UnmaskingSchedule', 'as_saved',
    'blend_weights', 'capture_networks', 'confidence', 'draw_ids', 'extend', 'fill_masked',
    'from_pixels', 'image_seed', 'networks_of', 'to_pixels', 'uncrop_margins'
]
