"""Encoders for programs without this package: ONNX, TorchScript, torch.export, timm.

Shapes: N images of H x W pixels, (h, w) patch grid, D embedding dims.
"""
from __future__ import annotations

import copy
import json
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope
from mmpretrain.models.backbones import VisionTransformer
from torch import Tensor, nn

from ..atomic_write import atomic_write
from ..checkpoints import load_encoder
from ..checkpoints.finite_weights import check_finite
from ..checkpoints.weight_files import check_target, load_checkpoint, save_weights, state_dict_of
from ..config_errors import errors_explained
from ..dense import ADDPUperViT
from ..models.addp import ADDPViT
from ..models.layers import FrozenModule, patch_size_of
from ..registry import MODELS
from .load_model import build_untrained, load_exactly
from .model_source import read_config

TOLERANCE = 1e-5        # of the largest value of a feature map
TIMM_TOLERANCE = 1e-3   # rounding alone makes 4e-5 in a ViT-L of large weights
PUBLISHED = ('state_dict', 'meta')
_DENSE_SCOPES = ('mmdet', 'mmseg')
_TIMM_EPS = 1e-6
_TIMM_NAMES = (
    (r'^pre_norm\.', 'norm_pre.'), (r'^ln1\.', 'norm.'),
    (r'^patch_embed\.projection\.', 'patch_embed.proj.'),
    (r'^layers\.(\d+)\.ln1\.', r'blocks.\1.norm1.'),
    (r'^layers\.(\d+)\.ln2\.', r'blocks.\1.norm2.'),
    (r'^layers\.(\d+)\.attn\.', r'blocks.\1.attn.'),
    (r'^layers\.(\d+)\.ffn\.layers\.0\.0\.', r'blocks.\1.mlp.fc1.'),
    (r'^layers\.(\d+)\.ffn\.layers\.1\.', r'blocks.\1.mlp.fc2.'),
)


class FeatureMaps(nn.Module):
    """An encoder, and what makes feature maps of its output, as one module.

    Args:
        encoder: Gives a sequence of feature maps for images.
        neck: For example a ``SimpleFPN``; None gives the encoder's own maps.
    """

    def __init__(self, encoder: nn.Module, neck: nn.Module | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        self.neck = neck

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Normalised images (N, 3, H, W) to feature maps (N, D, h, w), in the order of strides."""
        maps = self.encoder(images)
        return tuple(maps if self.neck is None else self.neck(maps))


def build_feature_maps(config: str | Path | Config, checkpoint: str | Path) -> FeatureMaps:
    """Build the encoder of a config, with the neck of a detector or segmentor, and load both.

    Args:
        config: Config of a pre-training, a classifier, a detector or a segmentor; or the name of a
            released model.
        checkpoint: A file that has the encoder, see :func:`load_encoder`, and the neck.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If the file does not have exactly these parts.
    """
    cfg = config if isinstance(config, Config) else read_config(config)[0]
    scope = cfg.get('default_scope', 'mmpretrain')
    parts = cfg.get('model') or ConfigDict()
    if 'backbone' not in parts:
        raise ValueError(f'The model of {cfg.filename or "the config"} has no backbone to export.')
    with DefaultScope.overwrite_default_scope(scope), errors_explained(cfg):
        encoder = MODELS.build({**_image_size(parts), **parts.backbone, 'init_cfg': None})
        has_neck = scope in _DENSE_SCOPES and parts.get('neck')
        neck = MODELS.build(parts.neck) if has_neck else None
    load_encoder(encoder, str(checkpoint))
    if neck is not None:
        _load_neck(neck, checkpoint)
    model = FeatureMaps(encoder, neck)
    model.train(False)
    return model


def export_feature_maps(model: FeatureMaps, path: str | Path, to: str,
                        image_size: tuple[int, int], free_size: bool = False,
                        overwrite: bool = False) -> float:
    """Write an encoder as a program, run that program, and keep the file only if it agrees.

    The number of images is free. It is compared on another batch, and with ``free_size`` on images
    of another size.

    Args:
        model: The encoder, in eval mode, on the CPU.
        path: The file.
        to: 'onnx', 'torchscript' or 'pt2' (``torch.export``).
        image_size: (H, W) of the images.
        free_size: Height and width are free too, in whole patches.
        overwrite: Replace the file if it exists.

    Returns:
        The largest difference between the program's feature maps and the model's, over the largest
        value of the map; below :data:`TOLERANCE`.

    Raises:
        FileExistsError: If there is such a file.
        ImportError: If a library that ``to`` needs is not installed.
        ValueError: If the format is unknown, the model cannot have a free size, or the program
            computes something else.
    """
    if to not in _WRITERS:
        raise ValueError(f'The format must be one of {sorted(_WRITERS)}, got {to!r}.')
    _check_free_size(model, to, free_size)
    check_target(path, overwrite)
    images = torch.randn(2, 3, *image_size, generator=torch.Generator().manual_seed(0))
    write, run = _WRITERS[to]
    with atomic_write(Path(path)) as partial, torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')         # of tracing, about what the comparison finds out
        write(model, images, free_size, str(partial))
        error = _largest_difference(model, run, str(partial), image_size, free_size)
        if not error <= TOLERANCE:
            raise ValueError(f'The exported program differs from the model by {error:.2g} of the '
                             f'largest value, expected at most {TOLERANCE}: nothing was written. '
                             f'Another format may do ({", ".join(sorted(_WRITERS))}).')
    return error


def export_timm(encoder: nn.Module, path: str | Path, overwrite: bool = False) -> dict[str, Any]:
    """Write the weights of a ViT in the names of timm's ``VisionTransformer``.

    Args:
        encoder: An :class:`ADDPViT` that reads pixels.
        path: The file, .safetensors or .pth.
        overwrite: Replace the file if it exists.

    Returns:
        The arguments of ``timm.models.VisionTransformer`` that the weights fit. Its
        ``forward_features`` then gives the same tokens, CLS first.

    Raises:
        ValueError: If the encoder is another one, or timm's computes something else.
    """
    if not fits_timm(encoder):
        raise ValueError(
            'timm\'s VisionTransformer stands for an ADDPViT that reads pixels, has a CLS token '
            f'and ends with a LayerNorm, got a {type(encoder).__name__}: dense backbones, encoders '
            'of tokens and fine-tuned classifiers compute something that timm\'s does not. Choose '
            'onnx.')
    check_target(path, overwrite)
    arguments = _timm_arguments(encoder)
    weights = {_timm_name(name): tensor for name, tensor in encoder.state_dict().items()}
    bias = weights.pop('patch_embed.proj.bias', None) if arguments['pre_norm'] else None
    if bias is not None:            # timm's patches then have none: the table takes it over
        table = weights['pos_embed'].clone()
        table[:, encoder.num_extra_tokens:] += bias
        weights['pos_embed'] = table
    _compare_timm(encoder, arguments, weights)
    save_weights(weights, path, dict(timm=json.dumps(arguments)), overwrite)
    return arguments


def fits_timm(encoder: nn.Module) -> bool:
    """Whether timm's ``VisionTransformer`` has the parts of an encoder."""
    if type(encoder) is not ADDPViT or not hasattr(encoder.patch_embed, 'projection'):
        return False
    patches, attn = encoder.patch_embed.projection, encoder.layers[0].attn
    return (not encoder.takes_tokens and encoder.cls_token is not None
            and encoder.final_norm and getattr(encoder.ln1, 'eps', None) == _TIMM_EPS
            and not hasattr(encoder, 'ln2')
            and patches.stride == patches.kernel_size
            and (patches.bias is not None or _has_pre_norm(encoder))
            and attn.qkv.bias is not None and isinstance(attn.gamma1, nn.Identity))


def publish_checkpoint(config: str | Path | Config, checkpoint: str | Path, path: str | Path,
                       overwrite: bool = False) -> None:
    """Copy a checkpoint of a training without its optimizer, schedules and logs.

    Args:
        config: Config of the training, or the name of a released model.
        checkpoint: The checkpoint.
        path: The file, a torch file.
        overwrite: Replace the file if it exists.

    Raises:
        FileExistsError: If there is such a file.
        FileNotFoundError: If there is no such config or checkpoint.
        ValueError: If the file is no checkpoint of a training, of another model than that of the
            config, or holds weights that are not finite; or ``path`` is a .safetensors
            file or the checkpoint itself.
    """
    if Path(path).suffix == '.safetensors':
        raise ValueError(f'A checkpoint is a torch file, got the name {path}: end it in .pth.')
    check_target(path, overwrite, checkpoint)
    model = build_untrained(config if isinstance(config, Config) else read_config(config)[0])
    content = load_checkpoint(checkpoint)
    if not isinstance(content, dict) or not set(PUBLISHED) <= content.keys():
        raise ValueError(f'{checkpoint} is not a checkpoint of a training, expected '
                         f'{" and ".join(PUBLISHED)} in it. A weight file can be handed on as it '
                         'is.')
    load_exactly(model, state_dict_of(content, checkpoint), checkpoint)
    with atomic_write(Path(path)) as partial, open(partial, 'wb') as file:
        torch.save({name: content[name] for name in PUBLISHED}, file)


def _image_size(parts: Any) -> dict[str, Any]:
    """The image size of a ViT whose config leaves it to the tokenizer, as ``ADDP`` does."""
    tokenizer = (parts.get('data_preprocessor') or {}).get('tokenizer')
    kind = parts.backbone.type
    encoder = MODELS.get(kind) if isinstance(kind, str) else kind
    if tokenizer is None or encoder is None or not issubclass(encoder, VisionTransformer):
        return {}
    return dict(img_size=FrozenModule(**tokenizer).description.image_size)


def _load_neck(neck: nn.Module, checkpoint: str | Path) -> None:
    weights = state_dict_of(load_checkpoint(checkpoint), checkpoint)
    given = {name.removeprefix('neck.'): tensor for name, tensor in weights.items()
             if name.startswith('neck.')}
    try:
        neck.load_state_dict(given)
    except RuntimeError as error:
        raise ValueError(f'{checkpoint} does not have the {type(neck).__name__} of the config: '
                         f'{" ".join(str(error).split())[:300]}. Name a checkpoint of this '
                         'detector or segmentor.') from error
    check_finite(given, checkpoint)


def _check_free_size(model: FeatureMaps, to: str, free_size: bool) -> None:
    if free_size and isinstance(model.encoder, ADDPUperViT):
        raise ValueError('ADDPUperViT resizes its relative position bias with a spline, which no '
                         'exported program does: leave out the free size, name the image size.')
    if free_size and to == 'torchscript':
        raise ValueError('A traced TorchScript program has one image size: leave out the free '
                         'size, or choose onnx or pt2.')


def _largest_difference(model: FeatureMaps, run: Callable, path: str,
                        image_size: tuple[int, int], free_size: bool) -> float:
    size = [side + 2 * patch if free_size else side
            for side, patch in zip(image_size, patch_sizes(model.encoder), strict=True)]
    images = torch.randn(3, 3, *size, generator=torch.Generator().manual_seed(1))
    maps = model(images)
    try:
        return _relative_error(maps, run(path)(images))
    except ImportError:
        raise
    except Exception as error:          # of whichever program runs it
        raise ValueError(
            f'The exported program cannot run on images of {size[0]} x {size[1]} pixels, nothing '
            f'was written ({" ".join(str(error).split())[:300] or type(error).__name__}). Choose '
            'another format' + (', or leave out the free size.' if free_size else '.')) from error


def patch_sizes(encoder: nn.Module) -> tuple[int, int]:
    """Height and width of a patch, or of what a convolutional network reduces to one place."""
    if not isinstance(encoder, VisionTransformer):
        return 32, 32
    return patch_size_of(encoder.patch_embed)


def _relative_error(maps: Sequence[Tensor], others: Sequence[Tensor]) -> float:
    errors = [(own - other).abs().max() / own.abs().max()
              for own, other in zip(maps, others, strict=True)]
    return float(torch.stack(errors).max())         # NaN if one is, unlike Python's max()


def _dynamic_shapes(free_size: bool) -> tuple[dict[int, Any]]:
    free = dict.fromkeys((2, 3), torch.export.Dim.DYNAMIC) if free_size else {}
    return ({0: torch.export.Dim('num_images'), **free}, )


def _write_pt2(model: nn.Module, images: Tensor, free_size: bool, path: str) -> None:
    program = torch.export.export(model, (images, ), dynamic_shapes=_dynamic_shapes(free_size))
    with open(path, 'wb') as file:
        torch.export.save(program, file)


def _run_pt2(path: str) -> Callable[[Tensor], list[Tensor]]:
    with open(path, 'rb') as file:
        module = torch.export.load(file).module()
    return lambda images: list(module(images))


def _write_torchscript(model: nn.Module, images: Tensor, free_size: bool, path: str) -> None:
    torch.jit.trace(model, images, check_trace=False).save(path)


def _run_torchscript(path: str) -> Callable[[Tensor], list[Tensor]]:
    module = torch.jit.load(path)
    return lambda images: list(module(images))


def _write_onnx(model: nn.Module, images: Tensor, free_size: bool, path: str) -> None:
    names = [f'map_{number}' for number in range(len(model(images)))]
    torch.onnx.export(model, (images, ), path, dynamo=True, external_data=False, verbose=False,
                      dynamic_shapes=_dynamic_shapes(free_size), input_names=['images'],
                      output_names=names)


def _run_onnx(path: str) -> Callable[[Tensor], list[Tensor]]:
    import onnxruntime
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    return lambda images: [torch.from_numpy(array)
                           for array in session.run(None, {'images': images.numpy()})]


_WRITERS: dict[str, tuple[Callable, Callable]] = {
    'onnx': (_write_onnx, _run_onnx),
    'torchscript': (_write_torchscript, _run_torchscript),
    'pt2': (_write_pt2, _run_pt2),
}


def _timm_name(name: str) -> str:
    for pattern, replacement in _TIMM_NAMES:
        name, count = re.subn(pattern, replacement, name)
        if count:
            break
    return name


def _has_pre_norm(encoder: ADDPViT) -> bool:
    return not isinstance(encoder.pre_norm, nn.Identity)


def _compare_timm(encoder: ADDPViT, arguments: dict[str, Any],
                  weights: dict[str, Tensor]) -> None:
    """See that timm's model takes the weights and computes the tokens of the encoder."""
    from timm.models import VisionTransformer
    own, other = copy.deepcopy(encoder), VisionTransformer(**arguments)
    own.out_type, own.out_indices = 'raw', [encoder.num_layers - 1]
    try:
        other.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError('timm\'s VisionTransformer does not take the weights of this encoder, '
                         f'nothing was written ({" ".join(str(error).split())[:300]}). Choose '
                         'onnx.') from error
    images = torch.randn(2, 3, *encoder.img_size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        tokens = own.eval()(images)[-1]                                     # (N, 1 + L, D)
        difference = _relative_error([tokens], [other.eval().forward_features(images)])
    if not difference <= TIMM_TOLERANCE:
        raise ValueError('timm\'s VisionTransformer differs from the encoder by '
                         f'{difference:.2g} of the largest value, expected at most '
                         f'{TIMM_TOLERANCE}: nothing was written. Choose onnx.')


def _timm_arguments(encoder: ADDPViT) -> dict[str, Any]:
    layer = encoder.layers[0]
    return dict(
        img_size=tuple(encoder.img_size), patch_size=encoder.patch_embed.projection.kernel_size[0],
        embed_dim=encoder.embed_dims, depth=encoder.num_layers, num_heads=layer.attn.num_heads,
        mlp_ratio=layer.ffn.layers[0][0].out_features / encoder.embed_dims,
        pre_norm=_has_pre_norm(encoder), num_classes=0, global_pool='')
