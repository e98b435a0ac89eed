"""A frozen, pre-trained model that training uses but does not own."""
from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import MMLogger
from torch import nn

from ...checkpoints.finite_weights import check_finite
from ...checkpoints.module_notes import with_notes
from ...checkpoints.releases import release_name
from ...checkpoints.run_settings import OTHER_MODEL, other_part
from ...checkpoints.weight_files import (
    load_checkpoint,
    match_prefix,
    meta_of,
    sha256_of,
    state_dict_of,
)
from ...registry import MODELS

FROZEN_WEIGHTS = 'frozen_weights'   # where the hashes of frozen files stand in a checkpoint's meta
_TOKENIZER = 'data_preprocessor.tokenizer'      # the name of the tokenizer's there

_INSTRUCTIONS = ('avx512_bf16', 'amx_bf16', 'bf16')     # x86 twice, Arm


@functools.cache
def cpu_has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 matrices in hardware.

    Elsewhere bfloat16 is emulated and slower than float32.
    """
    if hasattr(torch.cpu, 'get_capabilities'):
        found = torch.cpu.get_capabilities()
        return any(found.get(name, False) for name in _INSTRUCTIONS)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


_DTYPES = {'float32': torch.float32, 'float16': torch.float16, 'bfloat16': torch.bfloat16}


class _Holder:
    """Keeps a module out of the tree of the module that refers to it."""

    def __init__(self, model: nn.Module, settings: dict) -> None:
        self.model = model
        self.settings = settings
        self.meta: dict[str, Any] = {}          # of the file
        self.is_loaded = False
        self.weights_dtype = torch.float32      # of convolutions and linear layers


class FrozenModule(nn.Module):
    """Holds a frozen model outside the module tree of its owner.

    The held model is in no ``state_dict``, optimizer, EMA copy or DDP reducer. It follows its
    owner's device, and its copies share one set of weights. It is described on construction, and
    read from its own file by :meth:`load`, at the latest on first use, so that a model that only
    extracts features needs no such file.

    Args:
        model: Config of the model, for example ``dict(type='VQGAN')``.
        checkpoint: File of its weights (.safetensors, or a torch file of tensors), or a released
            one ('addp://vqgan'). The names may stand under one prefix, as in the checkpoint of the
            training that made it.
        dtype: 'float32', or 'float16' or 'bfloat16' to run under autocast. The weights that
            autocast would cast in every call are kept in that dtype. On a CPU bfloat16 stands in
            for float16, which has no fast kernels there, or float32 if it has none for bfloat16.
        dropout: Keep dropout active while the owner trains. The reference release trains with an
            active dropout in its token predictor; the paper describes a deterministic one.
        channels_last: Keep the weights of convolutions, and with them all feature maps, in the
            order that convolutions are fastest in: the same values up to rounding.
        compile_cfg: Arguments of ``torch.compile`` for the model, or for its parts where it has no
            ``forward`` of its own; None compiles nothing.

    Raises:
        ValueError: If ``dtype`` is unknown.
    """

    def __init__(self, model: dict, checkpoint: str | None = None, dtype: str = 'float32',
                 dropout: bool = False, channels_last: bool = False,
                 compile_cfg: dict | None = None) -> None:
        super().__init__()
        if dtype not in _DTYPES:
            raise ValueError(f'dtype must be one of {sorted(_DTYPES)}, got {dtype!r}.')
        self.checkpoint = checkpoint
        self.dtype = _DTYPES[dtype]
        self.dropout = dropout
        self.channels_last = channels_last
        self.compile_cfg = compile_cfg
        self.device = torch.device('cpu')
        with torch.device('meta'):
            self._holder = _Holder(MODELS.build(model), model)

    @property
    def description(self) -> nn.Module:
        """The model for its sizes (``num_codes``, ``grid_size``...); its weights may be unread."""
        return self._holder.model

    @property
    def meta(self) -> dict[str, Any]:
        """What the file says of its weights, once they are read."""
        return self._holder.meta

    @property
    def sha256(self) -> str:
        """Hash of the weight file."""
        return sha256_of(self._existing_checkpoint())

    def load(self) -> None:
        """Read the weights from :attr:`checkpoint`, once.

        They are read again only if they are kept in a half precision that is no longer wanted.

        Raises:
            ValueError: If no file is named, or it does not fit the model.
            FileNotFoundError: If the file does not exist.
        """
        holder = self._holder
        if not holder.is_loaded or holder.weights_dtype not in (torch.float32,
                                                                self._running_dtype()):
            self._read()

    def read_weights(self) -> dict[str, torch.Tensor]:
        """The tensors of the model in :attr:`checkpoint`, floating-point ones in float32.

        Raises:
            ValueError: If no file is named, or it does not fit the model.
            FileNotFoundError: If the file does not exist.
        """
        path = self._existing_checkpoint()
        try:
            content = load_checkpoint(path)
            weights = match_prefix(state_dict_of(content, path),
                                   list(self.description.state_dict()))
        except ValueError as error:
            raise self._misfit(error) from error
        check_finite(weights, path)
        self._holder.meta = meta_of(content)
        return with_notes({k: _as_float32(v) for k, v in weights.items()}, weights)

    def _misfit(self, error: Exception) -> ValueError:
        return ValueError(f'{self.checkpoint} does not fit the {type(self.description).__name__} '
                          f'of the config: {error}')

    def _read(self) -> None:
        model, path = self.description, self.checkpoint
        try:
            model.load_state_dict(self.read_weights(), assign=True)
        except RuntimeError as error:
            raise self._misfit(error) from error
        model.requires_grad_(False).eval().to(self.device)
        if self.channels_last:
            model.to(memory_format=torch.channels_last)
        if self.compile_cfg is not None and not self._holder.is_loaded:
            _compile(model, self.compile_cfg)
        if not self._holder.is_loaded:
            self._compare_settings()
        self._holder.is_loaded, self._holder.weights_dtype = True, torch.float32
        MMLogger.get_current_instance().info(
            f'Frozen {type(model).__name__}: {_num_parameters(model) / 1e6:.1f} M parameters '
            f'from {path}')

    def _compare_settings(self) -> None:
        """Warn where the file's weights were trained in a model of other settings."""
        holder = self._holder
        if changes := other_part(holder.meta, holder.settings, type(holder.model)):
            MMLogger.get_current_instance().warning(OTHER_MODEL.format(self.checkpoint, changes))

    @contextlib.contextmanager
    def running(self) -> Iterator[nn.Module]:
        """The loaded model, without gradients and in the wanted dtype, inside a ``with``."""
        self.load()
        dtype = self._running_dtype()
        if self._holder.weights_dtype != dtype:     # now: weights that nobody uses stay in the file
            _cast_products(self.description, dtype)
            self._holder.weights_dtype = dtype
        model = self.description.train(self.dropout and self.training)
        autocast = torch.autocast(
            self.device.type, dtype=dtype, enabled=dtype != torch.float32)
        with torch.no_grad(), autocast:
            yield model

    def _running_dtype(self) -> torch.dtype:
        """A CPU's float16 convolutions took 100 times as long as its bfloat16 ones."""
        if self.dtype == torch.float16 and self.device.type == 'cpu':
            return torch.bfloat16 if cpu_has_bfloat16() else torch.float32
        return self.dtype

    def _existing_checkpoint(self) -> str | Path:
        name = type(self.description).__name__
        if self.checkpoint is None:
            raise ValueError(
                f'The frozen {name} has no weights: set its `checkpoint` in the data '
                'preprocessor of the config to the file of a trained model.')
        if release_name(self.checkpoint):
            return self.checkpoint
        if not Path(self.checkpoint).is_file():
            raise FileNotFoundError(
                f'The weights of the frozen {name} are not at {self.checkpoint}. Train one, or '
                'name a released one (\'addp://vqgan\', \'addp://mage-l\'), and set `checkpoint`.')
        return Path(self.checkpoint)

    def _apply(self, fn: Callable, recurse: bool = True) -> FrozenModule:
        super()._apply(fn, recurse)
        self.device = fn(torch.empty(0, device=self.device)).device
        if self._holder.is_loaded:
            self.description.to(self.device)
        return self

    def __deepcopy__(self, memo: dict) -> FrozenModule:
        twin = self.__class__.__new__(self.__class__)
        memo[id(self)] = twin
        nn.Module.__init__(twin)
        twin.__dict__.update({k: v for k, v in self.__dict__.items() if not k.startswith('_')})
        twin._holder = self._holder
        return twin

    def extra_repr(self) -> str:
        """One line for ``print(model)``."""
        return f'{type(self.description).__name__}, checkpoint={self.checkpoint}, {self.dtype}'


def compare_tokenizer(tokenizer: FrozenModule, meta: Mapping[str, Any], path: str | Path) -> None:
    """Warn where a file's weights were trained with another tokenizer file than the config names.

    Args:
        tokenizer: The tokenizer of the config.
        meta: The meta data of the file.
        path: The file, for the message.
    """
    saved = meta.get(FROZEN_WEIGHTS, {})
    if _TOKENIZER in saved and saved[_TOKENIZER] != tokenizer.sha256:
        MMLogger.get_current_instance().warning(
            f'{path} was trained with another tokenizer file than {tokenizer.checkpoint}, its '
            f'SHA-256 is {saved[_TOKENIZER]}. Unless the same weights were only written anew, take '
            'that file: the tokens of another tokenizer mean something else.')


def _cast_products(model: nn.Module, dtype: torch.dtype) -> None:
    """Cast what autocast would; norms, tables and codes stay in float32."""
    for part in model.modules():
        if isinstance(part, (nn.Conv2d, nn.Linear)):
            part.to(dtype)


def _compile(model: nn.Module, options: dict) -> None:
    if type(model).forward is not nn.Module.forward:
        model.compile(**options)
        return
    for part in model.children():
        _compile(part, options)


def _as_float32(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _num_parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
