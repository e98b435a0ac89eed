"""Estimated memory of pre-training on a GPU, from a formula that is checked against a small model.

What the forward pass keeps for the backward one is counted tensor by tensor for a small student on
the CPU, and compared with the formula. The table for GPUs is an estimate: the same formula at the
real sizes, with dropout masks of one byte, which a CPU keeps in bfloat16.

    OMP_NUM_THREADS=2 python benchmarks/memory.py --out memory.json
"""
from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measuring
import torch
import variants
from torch import Tensor, nn

GPU_MASK, CPU_MASK = 1, 2           # bytes of a dropout mask's element
USABLE = 0.92                       # of a GPU's memory; the rest: CUDA, NCCL, fragments
# Frozen VQ decoder under autocast, per pixel of an image at its finest resolution of 128 channels:
# a normalised map and its SiLU in float32, input, branch and output in half precision.
VQ_BYTES_PER_PIXEL = 128 * (2 * 4 + 3 * 2)
ARCHS = ('base', 'large')


@dataclass(frozen=True)
class Stack:
    """A stack of transformer layers.

    Attributes:
        depth: Number of layers.
        length: Tokens of an image.
        dims: Width of the tokens.
        heads: Attention heads.
    """

    depth: int
    length: int
    dims: int
    heads: int

    def layer_bytes(self, mask_bytes: int) -> int:
        """Bytes that one layer keeps of one image, in bfloat16 over a float32 residual stream.

        In float32: the inputs of both norms (8). In bfloat16: the norms' outputs (4), query, key,
        value (6), the attention's output (2), the hidden features before and after GELU (16).
        Dropout masks of the projection (1), the hidden features (4) and the output (1). And the
        statistics of norms and softmax.
        """
        per_token = (36 + 6 * mask_bytes) * self.dims + 4 * self.heads + 16
        return self.length * per_token

    def bytes(self, mask_bytes: int, checkpointing: bool = False) -> int:
        """Bytes of all layers; with checkpointing each keeps its input, and one layer is redone."""
        if not checkpointing:
            return self.depth * self.layer_bytes(mask_bytes)
        return self.depth * 4 * self.length * self.dims + self.layer_bytes(mask_bytes)


def stacks_of(model: nn.Module, ratio: float) -> list[Stack]:
    """Encoder and token decoder of an ADDP at a mask ratio."""
    height, width = model.neck.grid_size
    places = height * width
    layer = model.neck.layers[0]
    encoder = model.backbone.layers[0]
    return [
        Stack(len(model.backbone.layers), 1 + places, model.backbone.embed_dims,
              encoder.attn.num_heads),
        Stack(len(model.neck.layers), 1 + places + round((1 - ratio) * places),
              layer.embed_dims, layer.attn.num_heads),
    ]


def head_bytes(model: nn.Module, ratio: float) -> int:
    """Bytes that the head and the loss keep of one image: four maps, log-probabilities, target."""
    masked = round(ratio * model.neck.grid_size[0] * model.neck.grid_size[1])
    projection, codes = model.head.token_projection, model.neck.num_codes
    vocab, dims = len(projection.bias), projection.fc.out_features
    return masked * (4 * 2 * dims + 4 * vocab + 4 * codes)


def edge_bytes(model: nn.Module, ratio: float, mask_bytes: int) -> int:
    """Bytes kept of one image before, between and after the stacks.

    The image in bfloat16; the inputs of the norms around the encoder and its dropout's mask, which
    has the width of float32 on a CPU; what goes into the token decoder and its last norm.
    """
    height, width = model.data_preprocessor.image_size
    encoder, decoder = stacks_of(model, ratio)
    mask_bytes = 4 if mask_bytes == CPU_MASK else mask_bytes
    return (2 * 3 * height * width + encoder.length * encoder.dims * (8 + mask_bytes + 2)
            + decoder.length * decoder.dims * (4 + 4))


def image_bytes(model: nn.Module, ratio: float, mask_bytes: int,
                checkpointing: bool = False) -> int:
    """Bytes that the student keeps of one image."""
    stacks = stacks_of(model, ratio)
    edges = head_bytes(model, ratio) + edge_bytes(model, ratio, mask_bytes)
    return edges + sum(s.bytes(mask_bytes, checkpointing) for s in stacks)


def fixed_bytes(model: nn.Module) -> int:
    """Bytes of weights: of the student with gradients, AdamW's state and casts, and frozen ones."""
    student = sum(p.numel() for p in model.parameters())
    preprocessor = model.data_preprocessor
    frozen = sum(p.numel() for part in (preprocessor.tokenizer, preprocessor.token_predictor)
                 for p in part.description.parameters())
    return (4 + 4 + 8 + 2) * student + 2 * frozen


def largest_batch(model: nn.Module, gigabytes: float, ratio: float, checkpointing: bool) -> int:
    """Images that fit: the frozen VQ decoder and the student hold theirs at different times."""
    height, width = model.data_preprocessor.image_size
    each = max(image_bytes(model, ratio, GPU_MASK, checkpointing),
               VQ_BYTES_PER_PIXEL * height * width)
    return int((USABLE * gigabytes * 1e9 - fixed_bytes(model)) / each)


def count_saved_bytes(model: nn.Module, num_images: int, ratio: float) -> int:
    """Bytes of distinct memory that a forward pass keeps, without weights and their casts."""
    own = {tuple(p.shape) for p in model.parameters()}
    own |= {shape[::-1] for shape in own}
    kept = {}

    def note(tensor: Tensor) -> Tensor:
        if tuple(tensor.shape) not in own:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    images = torch.rand(num_images, 3, *model.data_preprocessor.image_size)
    noisy, sample = model.data_preprocessor.diffuse(images, ratio)
    with torch.autocast('cpu', dtype=torch.bfloat16), \
            torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = model.loss(noisy, sample)['loss_token']      # kept alive: the addresses are distinct
    assert loss.requires_grad, 'nothing was kept'
    return sum(kept.values())


def check_formula(args: argparse.Namespace) -> dict[str, float]:
    """Bytes of one image by the formula and as counted, of a small student."""
    args.arch, args.device, args.dtype = 'tiny', 'cpu', 'bfloat16'
    variants.write_frozen_weights(args)
    model = variants.build('ours', args, 'bfloat16').train()
    for module in model.modules():
        if hasattr(module, 'attn_drop'):
            module.attn_drop = 0.       # with it a CPU holds the scores, which a GPU does not
    counted = count_saved_bytes(model, 8, args.mask_ratio) / 8
    formula = image_bytes(model, args.mask_ratio, CPU_MASK)
    return dict(formula=formula, counted=counted, ratio=formula / counted)


def estimate(arch: str, args: argparse.Namespace) -> dict[str, Any]:
    """The estimates for one architecture."""
    args.arch = arch
    with torch.device('meta'):
        model = variants.MODELS.build(variants.read_config_file(args).model)
    batches = {
        f'{gigabytes} GB, {"with" if saves else "without"} checkpointing':
            largest_batch(model, gigabytes, args.mask_ratio, saves)
        for gigabytes in args.gigabytes for saves in (False, True)
    }
    return dict(fixed_gb=fixed_bytes(model) / 1e9,
                image_mb=image_bytes(model, args.mask_ratio, GPU_MASK) / 1e6,
                image_mb_checkpointing=image_bytes(model, args.mask_ratio, GPU_MASK, True) / 1e6,
                batches=batches)


def main(args: list[str] | None = None) -> dict[str, Any]:
    """Check, estimate, print, and write what --out names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--gigabytes', type=float, nargs='+', default=[80, 141])
    parser.add_argument('--mask-ratio', type=float, default=variants.MEAN_MASK_RATIO)
    parser.add_argument('--out', type=Path, help='JSON file for the numbers')
    args = parser.parse_args(args)
    with tempfile.TemporaryDirectory() as folder, \
            variants.DefaultScope.overwrite_default_scope('mmpretrain'):
        args.frozen = Path(folder)
        result = dict(check=check_formula(args),
                      estimates={arch: estimate(arch, args) for arch in ARCHS})
    check = result['check']
    print(f'small student, bytes of an image: {check["formula"]:.0f} by the formula, '
          f'{check["counted"]:.0f} counted, ratio {check["ratio"]:.3f}')
    for arch, row in result['estimates'].items():
        print(f'{arch}: weights and optimizer {row["fixed_gb"]:.1f} GB; an image '
              f'{row["image_mb"]:.0f} MB, with checkpointing {row["image_mb_checkpointing"]:.0f}')
        for name, batch in row['batches'].items():
            print(f'  {name}: at most {batch} images (estimate)')
    measuring.write_json(result, args.out)
    return result


if __name__ == '__main__':
    main()
