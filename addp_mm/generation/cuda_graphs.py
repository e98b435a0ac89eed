"""CUDA graphs for generation: the kernels of a network are started as one."""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from ..diffusion import NoisySample
from .networks import Networks


class CapturedFunction:
    """A function of :class:`Networks` that is replayed as a CUDA graph from its second call on.

    There is a graph for each combination of shapes, numbers of reliable tokens and autocast: with a
    sampler's schedule the same ones come back in every batch. The first call with a combination
    runs as it is, which warms up, and what never comes back is not captured. All graphs share
    their memory.

    Args:
        function: Takes tensors, NoisySamples of known numbers and None, all on one GPU, gives a
            tensor, and neither reads a value back to the host nor draws a number.
        pool: What ``torch.cuda.graph_pool_handle`` gave.
    """

    def __init__(self, function: Callable[..., Tensor], pool: tuple[int, int]) -> None:
        self._function = function
        self._pool = pool
        self._captured: dict[tuple, _Capture | None] = {}

    def __call__(self, *args: Tensor | NoisySample | None) -> Tensor:
        """Call the function."""
        key = *_autocast(), *map(_form, args)
        if key not in self._captured:
            self._captured[key] = None
            return self._function(*args)
        captured = self._captured[key]
        if captured is None:
            captured = self._captured[key] = _Capture(self._function, args, self._pool)
        return captured(args)


class _Capture:
    """One graph, with inputs and an output of its own."""

    def __init__(self, function: Callable[..., Tensor], args: tuple, pool: tuple[int, int]) -> None:
        self.inputs = [_copy(arg) for arg in args]
        self.graph = torch.cuda.CUDAGraph()
        dtype, enabled = _autocast()
        # Weights that autocast has cast and keeps are gone when its context ends.
        with (torch.autocast('cuda', dtype=dtype, enabled=enabled, cache_enabled=False),
              torch.cuda.graph(self.graph, pool=pool)):
            self.output = function(*self.inputs)

    def __call__(self, args: tuple) -> Tensor:
        for own, given in zip(_tensors(self.inputs), _tensors(args), strict=True):
            own.copy_(given)
        self.graph.replay()
        return self.output.clone()      # the next replay of any graph may write over it


def capture_networks(networks: Networks) -> Networks:
    """Networks whose three functions of the loop are :class:`CapturedFunction`.

    The images are those of the networks as they are, up to rounding. A graph keeps the addresses of
    the weights: load others with ``load_state_dict``, which writes in place.

    Args:
        networks: Functions of a model on a GPU, in eval mode.

    Raises:
        ValueError: If the networks are not on a GPU.
    """
    if torch.device(networks.device).type != 'cuda':
        raise ValueError(f'CUDA graphs need a GPU, got networks on {networks.device}: leave '
                         'cuda_graphs out, or choose a device of type cuda.')
    pool = torch.cuda.graph_pool_handle()
    return dataclasses.replace(
        networks,
        pixel_to_token=CapturedFunction(networks.pixel_to_token, pool),
        token_to_latent=CapturedFunction(networks.token_to_latent, pool),
        latent_to_pixel=CapturedFunction(networks.latent_to_pixel, pool))


def _autocast() -> tuple[torch.dtype, bool]:
    return torch.get_autocast_dtype('cuda'), torch.is_autocast_enabled('cuda')


def _form(arg: Tensor | NoisySample | None) -> tuple:
    """What a graph is made for."""
    count = arg.num_reliable if isinstance(arg, NoisySample) else None
    return count, *((tensor.shape, tensor.dtype) for tensor in _tensors([arg]))


def _tensors(args: Any) -> Iterator[Tensor]:
    for arg in args:
        if isinstance(arg, NoisySample):
            yield from (arg.token_ids, arg.mask)
        elif arg is not None:
            yield arg


def _copy(arg: Tensor | NoisySample | None) -> Tensor | NoisySample | None:
    if isinstance(arg, NoisySample):
        return dataclasses.replace(arg, token_ids=arg.token_ids.clone(), mask=arg.mask.clone())
    return None if arg is None else arg.clone()
