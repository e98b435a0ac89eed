"""How long generation takes, and which part of it."""
from __future__ import annotations

import dataclasses
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch

from ..generation import ImageNoise, SamplingState
from .inferencer import ADDPInferencer

PARTS = ('encoder', 'decoder', 'sampling', 'vq_decoding')


class Stopwatch:
    """Adds up the seconds of functions by name; on a GPU it waits for what they started.

    Args:
        device: Where the functions compute.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = defaultdict(float)

    def timed(self, name: str, function: Callable) -> Callable:
        """The function, timed under a name."""

        def call(*args: Any) -> Any:
            start = self.now()
            result = function(*args)
            self.seconds[name] += self.now() - start
            return result

        return call

    def now(self) -> float:
        """Seconds, once the device has done what was started."""
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def measure_generation(inferencer: ADDPInferencer, batch_size: int = 16, repeats: int = 3,
                       **sampler: Any) -> dict[str, float]:
    """Generate some batches and take the time.

    Args:
        inferencer: The model.
        batch_size: Images at a time.
        repeats: Timed batches; one more is not timed.
        **sampler: Options of the sampler.

    Returns:
        ``num_steps``, ``images_per_second``, and the share of the time in [0, 1] of each part:
        ``encoder`` (0 for a token predictor alone), ``decoder`` with the head, ``sampling`` with
        the choice of what is masked again, and ``vq_decoding`` with the codebook.
    """
    watch = Stopwatch(inferencer.device)
    generator = inferencer.generator(**sampler)
    networks = dataclasses.replace(
        generator.networks,
        pixel_to_token=watch.timed('network', generator.networks.pixel_to_token),
        token_to_latent=watch.timed('vq_decoding', generator.networks.token_to_latent),
        latent_to_pixel=watch.timed('vq_decoding', generator.networks.latent_to_pixel))
    hooks = _time_encoder(inferencer.model, watch)
    try:
        for repeat in range(repeats + 1):
            if repeat == 1:
                watch.seconds.clear()
                start = watch.now()
            state = SamplingState.all_masked(
                batch_size, networks.image_size, networks.grid_size, networks.device)
            with inferencer.precision():
                generator.sampler.sample(networks, state, ImageNoise(repeat, range(batch_size)))
        total = watch.now() - start
    finally:
        for hook in hooks:
            hook.remove()
    parts = watch.seconds
    parts['decoder'] = parts['network'] - parts['encoder']
    parts['sampling'] = total - parts['network'] - parts['vq_decoding']
    return dict(num_steps=generator.schedule.num_steps,
                images_per_second=repeats * batch_size / total,
                **{name: parts[name] / total for name in PARTS})


def _time_encoder(model: torch.nn.Module, watch: Stopwatch) -> list:
    encoder = getattr(model, 'backbone', None)
    if encoder is None:
        return []
    starts: list[float] = []

    def add(*_: Any) -> None:
        watch.seconds['encoder'] += watch.now() - starts.pop()

    return [encoder.register_forward_pre_hook(lambda *_: starts.append(watch.now())),
            encoder.register_forward_hook(add)]
