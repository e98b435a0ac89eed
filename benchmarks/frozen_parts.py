"""Ways to run the frozen tokenizer: how fast each is, and how many tokens it leaves as they are.

Each is compared with float32: seconds of encoding and decoding, the share of equal tokens, and the
mean difference of the decoded pixels in levels of 255. "channels last" is what configs/addp have.
Two of them are no option of the package, unless this shows that they are worth it:

    norm with SiLU   the two as one compiled function, which reads and writes half precision
    graph            encoder and decoder replayed as CUDA graphs

    python benchmarks/frozen_parts.py --device cuda --batch-size 64

Without ``--tokenizer`` the weights are random. Then the times hold, but the shares do not.
"""
from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measuring
import torch
import torch.nn.functional as F
import variants
from torch import Tensor, nn

from addp_mm.apis.generation_speed import Stopwatch
from addp_mm.generation import CapturedFunction
from addp_mm.models.layers import FrozenModule
from addp_mm.models.vqgan.vqgan_layers import ResidualBlock

GRAPH, FUSED = 'graph', 'norm with SiLU'
HALF = dict(dtype='float16', channels_last=True)
OPTIONS = {
    'float32': dict(dtype='float32'),
    'float16': dict(dtype='float16'),
    'bfloat16': dict(dtype='bfloat16', channels_last=True),
    'channels last': HALF,
    'compiled': HALF | dict(compile_cfg=dict(dynamic=False)),
    FUSED: HALF,
    GRAPH: HALF,
}


def parse_args(args: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    variants.add_model_arguments(parser, batch_size=4)
    variants.add_device_argument(parser)
    parser.add_argument('--tokenizer', type=Path, help='weights of a trained tokenizer of the '
                                                       'released size (default: random ones)')
    parser.add_argument('--ways', nargs='+', default=list(OPTIONS), choices=list(OPTIONS))
    args = parser.parse_args(args)
    if torch.device(args.device).type != 'cuda':
        args.ways = [way for way in args.ways if way != GRAPH]
    return args


@dataclass
class Tokenizer:
    """Both directions of a tokenizer, on its device.

    Attributes:
        encode: Images (N, 3, H, W) to ids (N, h, w).
        decode: Ids to images in float32.
    """

    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]


def build(way: str, args: argparse.Namespace) -> Tokenizer:
    """The tokenizer of the config, run in one of the ways."""
    cfg = variants.read_config_file(args).model.data_preprocessor.tokenizer
    frozen = FrozenModule(cfg.model, str(args.tokenizer or cfg.checkpoint), **OPTIONS[way])
    frozen.to(args.device)
    if way == FUSED:
        fuse_norm_and_silu(frozen.description)

    def encode(images: Tensor) -> Tensor:
        with frozen.running() as tokenizer:
            return tokenizer.encode(images)[0]

    def decode(token_ids: Tensor) -> Tensor:
        with frozen.running() as tokenizer:
            return tokenizer.decode_ids(token_ids).float()

    if way == GRAPH:
        pool = torch.cuda.graph_pool_handle()
        return Tokenizer(CapturedFunction(encode, pool), CapturedFunction(decode, pool))
    return Tokenizer(encode, decode)


def fuse_norm_and_silu(tokenizer: nn.Module, **options: Any) -> None:
    """Let the residual blocks of a VQGAN compute GroupNorm and SiLU in one compiled function.

    Args:
        tokenizer: The VQGAN, with GroupNorm.
        **options: Arguments of ``torch.compile``.
    """
    torch._dynamo.config.recompile_limit = 64       # each resolution has shapes of its own
    fused = torch.compile(_norm_and_silu, dynamic=False, **options)
    for block in tokenizer.modules():
        if isinstance(block, ResidualBlock):
            block.forward = functools.partial(_run_block, block, fused)


def measure(args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Every way, compared with float32."""
    tokenizers = {way: build(way, args) for way in dict.fromkeys(['float32', *args.ways])}
    images = pictures(args).to(args.device)
    wanted_ids = tokenizers['float32'].encode(images)
    wanted = tokenizers['float32'].decode(wanted_ids)
    results = {}
    for way, tokenizer in tokenizers.items():
        for _ in range(3):      # as it is, compiled or captured, replayed
            token_ids, decoded = tokenizer.encode(images), tokenizer.decode(wanted_ids)
        results[way] = dict(
            equal_tokens=float((token_ids == wanted_ids).float().mean()),
            pixel_error=255 * float((decoded - wanted).abs().mean()))
    times = measuring.in_turns({way: functools.partial(_seconds, tokenizer, images, wanted_ids)
                                for way, tokenizer in tokenizers.items()}, args.rounds)
    return {way: results[way] | times[way] for way in tokenizers}


def pictures(args: argparse.Namespace) -> Tensor:
    """Smooth shapes with a little noise, (N, 3, H, W) in [0, 1]."""
    size = variants.read_config_file(args).model.data_preprocessor.tokenizer.model.image_size
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(args.batch_size, 3, 8, 8, generator=generator)
    smooth = F.interpolate(coarse, (size, size), mode='bicubic')
    return (smooth + 0.05 * torch.randn(smooth.shape, generator=generator)).clamp(0, 1)


def main(args: list[str] | None = None) -> dict[str, Any]:
    """Measure, print, and write what --out names."""
    args = parse_args(args)
    torch.backends.cudnn.allow_tf32 = False
    with variants.frozen_weights(args):
        rows = measure(args)
    result = dict(machine=measuring.describe_machine(args.device), batch_size=args.batch_size,
                  trained=args.tokenizer is not None, results=rows)
    print(result['machine'])
    for way, row in rows.items():
        print(f'{way:16}{1e3 * row["encoding"]:9.2f} ms{1e3 * row["decoding"]:9.2f} ms'
              f'{100 * row["equal_tokens"]:9.3f} % equal{row["pixel_error"]:9.4f} of 255')
    measuring.write_json(result, args.out)
    return result


def _seconds(tokenizer: Tokenizer, images: Tensor, token_ids: Tensor) -> measuring.Parts:
    watch = Stopwatch(images.device)
    watch.timed('encoding', tokenizer.encode)(images)
    watch.timed('decoding', tokenizer.decode)(token_ids)
    return dict(watch.seconds)


def _norm_and_silu(x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    return F.silu(F.group_norm(x.float(), groups, weight, bias, eps)).to(x.dtype)


def _run_block(block: ResidualBlock, fused: Callable[..., Tensor], x: Tensor) -> Tensor:
    """:meth:`ResidualBlock.forward` with ``fused`` in the place of norm and SiLU."""
    branch = x
    for norm, conv in ((block.norm1, block.conv1), (block.norm2, block.conv2)):
        branch = conv(fused(branch, norm.num_groups, norm.weight, norm.bias, norm.eps))
    if block.changes_channels:
        x = block.nin_shortcut(branch if block.reads_branch else x)
    return x + branch


if __name__ == '__main__':
    main()
