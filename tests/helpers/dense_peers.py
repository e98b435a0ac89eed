"""Comparison of a backbone with another library's, and tiny sizes for both."""
from __future__ import annotations

import torch
from torch import Tensor, nn

ARCH = dict(embed_dims=32, num_layers=4, num_heads=2, feedforward_channels=64)


def randomize(model: nn.Module) -> nn.Module:
    """Give every parameter values that matter, also those that start at zero or one."""
    for parameter in model.parameters():
        nn.init.normal_(parameter, mean=1. if parameter.ndim == 1 else 0., std=0.2)
    return model


def outputs_and_grads(model: nn.Module, images: Tensor) -> tuple[list[Tensor], dict[str, Tensor]]:
    """The feature maps, and the gradients of the images and of every parameter."""
    images = images.clone().requires_grad_()
    model.zero_grad()
    outs = model(images)
    sum((out * torch.linspace(-1, 1, out.numel()).view_as(out)).mean() for out in outs).backward()
    grads = {name: parameter.grad for name, parameter in model.named_parameters()}
    return [out.detach() for out in outs], grads | dict(images=images.grad)


def assert_equal(got: Tensor, want: Tensor, name: str = '') -> None:
    """Equal to 1e-5 of the largest value, or absolutely if that is below 1."""
    assert got.shape == want.shape, name
    difference = float((got - want).detach().abs().max())
    assert difference <= 1e-5 * max(1., float(want.detach().abs().max())), name
