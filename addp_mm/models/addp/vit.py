"""The ViT encoder that reads noisy images, and for recognition clean ones or their tokens.

Shapes: N images, (h, w) patch grid, L = h * w, D embedding dims, R reliable tokens.
"""
from __future__ import annotations

import torch
from mmpretrain.models.backbones import VisionTransformer
from mmpretrain.models.utils import resize_pos_embed
from torch import Tensor, nn

from ...checkpoints import PretrainedEncoder, resize_tables_on_load
from ...checkpoints.module_notes import GRID
from ...checkpoints.position_tables import fit_encoder_table, note_grid
from ...diffusion import NoisySample, gather_places
from ...registry import MODELS
from ...unknown_names import check_names
from ..layers import (
    FrozenModule,
    TokenPatchEmbed,
    init_table,
    init_transformer_weights,
    interpolate_position_table,
    is_exporting,
)

ARCH = ('embed_dims', 'num_layers', 'num_heads', 'feedforward_channels')


@MODELS.register_module()
class ADDPViT(PretrainedEncoder, VisionTransformer):
    """mmpretrain's ``VisionTransformer`` with ADDP's normalisation after the position table.

    Its parameters are the parent's, so that a checkpoint loads in the parent for fine-tuning,
    linear probing and feature extraction. It differs in this: a LayerNorm (``pre_norm``, the
    reference release's ``tokenizer_norm``) follows the position table with dropout after it,
    dropout also acts in attention, the position table is learned from N(0, 0.02), and the patch
    embedding has a bias. The CLS token is never read by the decoder, hence untrained: pool patches.

    With ``tokenizer`` it reads the VQ tokens of the images instead (paper Tab. 1, and the MAGE rows
    of Tab. 2 and 7): with ``pre_norm`` it is the encoder of a MAGE, whose weights it takes. Dense
    tasks drop the CLS token, which stands for no place: ``with_cls_token=False``.

    ``init_cfg=dict(type='Pretrained', checkpoint=...)`` takes every file that has such an encoder,
    see :func:`load_encoder`.

    Args:
        drop_rate: Dropout after ``pre_norm`` and in every layer (paper Tab. 14: 0.1).
        pre_norm: Whether ``pre_norm`` exists; the reference release fine-tunes without it.
        out_type: What comes out, see the parent; the token decoder takes 'featmap'.
        token_vocab: Number of rows of an embedding of the reliable tokens, read beside the pixels
            (paper Tab. 5, "encoder & decoder"); None reads pixels only, as the paper's default.
        tokenizer: Arguments of a :class:`FrozenModule`; it is read when the start values are
            drawn, at the latest with the first images. None reads pixels.
        patch_cfg: Further arguments of the patch embedding: of mmcv's ``PatchEmbed``, or with
            ``tokenizer`` of :class:`TokenPatchEmbed`: ``mean`` and ``std``.
        **kwargs: The parent's arguments: ``arch``, ``img_size``, ``patch_size``, ... The patches
            of a ``tokenizer`` are as large as its stride.

    Raises:
        ValueError: If ``patch_size`` is another, a dict for ``arch`` has unknown keys,
            ``frozen_stages`` is more than the layers, or ``token_vocab`` stands beside
            ``tokenizer``.
    """

    fills_up = False        # images to whole patches

    def __init__(self, drop_rate: float = 0.1, pre_norm: bool = True, out_type: str = 'featmap',
                 token_vocab: int | None = None, tokenizer: dict | None = None,
                 patch_cfg: dict | None = None, **kwargs) -> None:
        if isinstance(kwargs.get('arch'), dict):
            check_names('arch', kwargs['arch'], ARCH)
        frozen = None
        if tokenizer is not None:
            frozen = FrozenModule(**tokenizer)
            kwargs['patch_size'] = _patch_size(frozen, kwargs.get('patch_size'), token_vocab)
        super().__init__(
            drop_rate=drop_rate,
            pre_norm=pre_norm,
            out_type=out_type,
            patch_cfg=dict(bias=True) | (patch_cfg or {} if frozen is None else {}),
            layer_cfgs=dict(attn_drop_rate=drop_rate),
            **kwargs)
        _check_sizes(self)
        if out_type != 'cls_token':         # ADDP leaves it untrained, and dense encoders drop it
            self.new_parameters = (*self.new_parameters, 'cls_token')
        if frozen is not None:
            self.patch_embed = TokenPatchEmbed(frozen, self.embed_dims, self.img_size,
                                               **(patch_cfg or {}))
            if self.frozen_stages > 0:
                self._freeze_stages()
        self.takes_tokens = token_vocab is not None
        if token_vocab is not None:
            self.token_embed = nn.Embedding(token_vocab, self.embed_dims)
            num_places = 1 + self.patch_resolution[0] * self.patch_resolution[1]
            self.token_pos_embed = nn.Parameter(torch.zeros(1, num_places, self.embed_dims))
            resize_tables_on_load(self, ('token_pos_embed', ), self.patch_resolution)
        else:
            note_grid(self, self.patch_resolution)

    def init_start_values(self) -> None:
        """Start values of the reference release."""
        init_transformer_weights(self)
        tables = [self.pos_embed, self.cls_token]
        if isinstance(self.patch_embed, TokenPatchEmbed):
            tables.append(self.patch_embed.embedding.weight)
        else:
            projection = self.patch_embed.projection
            nn.init.xavier_uniform_(projection.weight.view(projection.weight.shape[0], -1))
            nn.init.zeros_(projection.bias)
        if self.takes_tokens:
            tables += [self.token_embed.weight, self.token_pos_embed]
        for table in tables:
            if table is not None:
                init_table(table)

    def train(self, mode: bool = True) -> ADDPViT:
        """Switch between training and evaluation, all but frozen layers: they stay in evaluation.

        Returns:
            The encoder itself, as every module does; the parent returns nothing.
        """
        super().train(mode)
        if self.frozen_stages > 0:      # the parent's dropout and drop path would come back
            for part in (self.drop_after_pos, self.patch_embed, *self.layers[:self.frozen_stages]):
                part.eval()
        return self

    def _prepare_pos_embed(self, state_dict: dict, prefix: str, metadata: dict,
                           *args: object) -> None:
        """Before loading: the parent takes all tables to be of square grids."""
        fit_encoder_table(self, state_dict, prefix, metadata.get(GRID))

    def _freeze_stages(self) -> None:
        if self.frozen_stages > self.num_layers:
            raise ValueError(f'frozen_stages must be at most {self.num_layers}, the layers of this '
                             f'arch, got {self.frozen_stages}.')
        super()._freeze_stages()

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter for layer-wise decay of the learning rate.

        What stands before the first layer has depth 0; the parent gives ``pre_norm`` that of the
        head.

        Args:
            param_name: Name of the parameter.
            prefix: Where the encoder stands in the model, for example 'backbone.'.

        Returns:
            The depth and the number of depths: the stem, the layers, the rest.
        """
        before = tuple(prefix + name for name in ('pre_norm.', 'token_embed.', 'token_pos_embed'))
        if param_name.startswith(before):
            return 0, self.num_layers + 2
        return super().get_layer_depth(param_name, prefix)

    def forward(self, images: Tensor, noisy_sample: NoisySample | None = None) -> tuple[Tensor]:
        """Encode images.

        Args:
            images: Normalised images (N, 3, H, W).
            noisy_sample: The tokens behind the images; read with ``token_vocab`` only.

        Returns:
            For each of ``out_indices`` an output of the kind ``out_type``; 'featmap': (N, D, h, w).
        """
        patches, grid_size = self.patch_embed(images)                       # (N, L, D)
        if self.cls_token is not None:
            patches = torch.cat((self.cls_token.expand(images.shape[0], -1, -1), patches), dim=1)
        tokens = patches + self._positions(grid_size)
        if self.takes_tokens and noisy_sample is not None:
            tokens = torch.cat((tokens, self._embed_reliable(noisy_sample)), dim=1)
        tokens = self.drop_after_pos(self.pre_norm(tokens))
        return self._run_layers(tokens, grid_size, num_outputs=patches.shape[1])

    def encode_visible(self, images: Tensor, places: Tensor) -> Tensor:
        """Encode some patches of each image as if there were no others (MAE).

        Args:
            images: Normalised images (N, 3, H, W).
            places: Flat places (N, R) of the patches on the grid.

        Returns:
            (N, 1 + R, D): the CLS token, and the patches in the order of ``places``.

        Raises:
            ValueError: If the encoder has no CLS token.
        """
        if self.cls_token is None:
            raise ValueError('Visible patches are encoded with a CLS token: set with_cls_token.')
        patches, grid_size = self.patch_embed(images)
        positions = self._positions(grid_size)
        visible = gather_places(patches + positions[:, 1:], places)
        cls = (self.cls_token + positions[:, :1]).expand(len(images), -1, -1)
        tokens = self.drop_after_pos(self.pre_norm(torch.cat((cls, visible), dim=1)))
        for layer in self.layers:
            tokens = layer(tokens)
        return self.ln1(tokens) if self.final_norm else tokens

    def _positions(self, grid_size: tuple[int, int]) -> Tensor:
        """The position table on the grid of the images."""
        if is_exporting():
            return interpolate_position_table(
                self.pos_embed, self.patch_resolution, grid_size, self.num_extra_tokens)
        return resize_pos_embed(self.pos_embed, self.patch_resolution, grid_size,
                                self.interpolate_mode, self.num_extra_tokens)

    def _run_layers(self, tokens: Tensor, grid_size: tuple[int, int],
                    num_outputs: int) -> tuple[Tensor]:
        outs = []
        for i, layer in enumerate(self.layers):
            tokens = self._run_layer(layer, tokens, grid_size)
            if i == len(self.layers) - 1 and self.final_norm:
                tokens = self.ln1(tokens)
            if i in self.out_indices:
                outs.append(self._format_output(tokens[:, :num_outputs], grid_size))
        return tuple(outs)

    def _run_layer(self, layer: nn.Module, tokens: Tensor, grid_size: tuple[int, int]) -> Tensor:
        """Apply one layer; the backbones of dense prediction read the place on the grid too."""
        return layer(tokens)

    def _embed_reliable(self, noisy_sample: NoisySample) -> Tensor:
        grid_size = tuple(noisy_sample.mask.shape[1:])
        if grid_size != tuple(self.patch_resolution):
            raise ValueError('An encoder that reads tokens needs one patch for each token, got '
                             f'{tuple(self.patch_resolution)} patches and {grid_size} tokens: set '
                             'its patch_size to the stride of the tokenizer.')
        ids, places, padding = noisy_sample.reliable_tokens()
        if padding is not None:
            raise ValueError('An encoder that reads tokens needs the same mask ratio for every '
                             'image of a batch: set per_image=False.')
        return self.token_embed(ids) + self.token_pos_embed[0, 1 + places]      # (N, R, D)


def _check_sizes(encoder: ADDPViT) -> None:
    """See that patches tile the image, and heads the width of a token."""
    heads = encoder.arch_settings['num_heads']
    if encoder.embed_dims % heads:
        raise ValueError(f'num_heads must divide embed_dims, got {heads} and {encoder.embed_dims}.')
    check_tiles(encoder, tuple(encoder.img_size))


def check_tiles(encoder: nn.Module, image_size: tuple[int, int]) -> None:
    """See that the patches of an encoder that has such cover images of (H, W) pixels.

    Raises:
        ValueError: If some pixels would not be seen.
    """
    projection = getattr(getattr(encoder, 'patch_embed', None), 'projection', None)
    if projection is None or getattr(encoder, 'fills_up', False):
        return
    patch = projection.kernel_size
    if any(side % size for side, size in zip(image_size, patch, strict=True)):
        raise ValueError(f'patch_size must divide the size of the images, got {patch} for '
                         f'{image_size}: the rest of a picture would not be seen.')


def _patch_size(tokenizer: FrozenModule, patch_size: int | None, token_vocab: int | None) -> int:
    """The tokenizer's stride, if nothing else was asked for."""
    stride = tokenizer.description.stride
    if patch_size not in (None, stride):
        raise ValueError(f'The patches of a tokenizer are as large as its stride, {stride}, got '
                         f'{patch_size=}: leave it out.')
    if token_vocab is not None:
        raise ValueError('token_vocab reads tokens beside pixels, with `tokenizer` there are none: '
                         'leave one of them out.')
    return stride
