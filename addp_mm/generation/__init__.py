"""Generation and editing of images: a sampler that knows networks as functions only."""
from .blending import blend_weights
from .captured_networks import CapturedFunction, capture_networks
from .denoising_sampler import DenoisingSampler
from .image_generator import ImageGenerator
from .image_noise import ImageNoise, image_seed
from .inpainting import Inpainting, extend, fill_masked, uncrop_margins
from .networks import Networks, networks_of
from .pixels import to_pixels
from .sampling_state import SamplingResult, SamplingState
from .token_sampling import confidence, draw_ids
from .unmasking_schedule import UnmaskingSchedule

__all__ = [
    'CapturedFunction', 'DenoisingSampler', 'ImageGenerator', 'ImageNoise', 'Inpainting',
    'Networks', 'SamplingResult', 'SamplingState', 'UnmaskingSchedule', 'blend_weights',
    'capture_networks', 'confidence', 'draw_ids', 'extend', 'fill_masked', 'image_seed',
    'networks_of', 'to_pixels', 'uncrop_margins'
]
