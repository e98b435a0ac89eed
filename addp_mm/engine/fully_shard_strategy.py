"""Training with weights, gradients and optimizer spread over the processes."""
from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any

import mmengine
from mmengine._strategy import DDPStrategy
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import STRATEGIES  # mmpretrain has none of its own
from mmengine.runner.activation_checkpointing import turn_on_activation_checkpointing
from mmengine.runner.checkpoint import save_checkpoint
from mmengine.utils import apply_to
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor

from ..checkpoints.module_notes import all_grids, with_notes
from ..name_lists import listed


@STRATEGIES.register_module()
class FullyShardStrategy(DDPStrategy):
    """FSDP2 (``torch.distributed.fsdp.fully_shard``) for mmengine's ``FlexibleRunner``.

    Each process keeps an equal part of every weight, its gradient and its optimizer state. The
    weights of a layer are put together when it computes, and freed after it; those outside of
    ``layers`` stay from the forward to the backward pass. Values are those of a DDP run: weights
    travel in float32, and the dtype of the computation is that of the optimizer wrapper's autocast.
    (With FSDP's own dtypes validation and layer norms would compute otherwise.) While gradients are
    accumulated they are not reduced, and each process holds them whole, as in DDP.

    Frozen parts (:class:`FrozenModule`) are outside of the model's tree, so each process has them
    whole. A checkpoint is one ordinary file, as a run in one process writes it; it resumes in any
    number of processes, sharded or not.

    Args:
        layers: Names of the lists of layers that are put together one layer at a time.
        activation_checkpointing: Names of modules that keep their input only, and compute again in
            the backward pass. ``FlexibleRunner`` does not read the config's own setting.
        **kwargs: The parent's: ``sync_bn`` and what ``FlexibleRunner`` hands over.

    Raises:
        ValueError: If the run has one process, a name is not one of the model's, there are several
            optimizers, or a checkpoint has tensors of other shapes than the model.
    """

    def __init__(self, *, layers: Sequence[str] = ('backbone.layers', 'neck.layers'),
                 activation_checkpointing: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not self.distributed:
            raise ValueError('FullyShardStrategy spreads a model over processes, this run has one: '
                             'start it with dist_train.sh CONFIG GPUS, or take '
                             'runner_type and strategy out of the config.')
        self.layers = tuple(layers)
        self.activation_checkpointing = list(activation_checkpointing)

    def _wrap_model(self, model: nn.Module) -> FSDPModule:
        """Shard the layers, then what is left. In place: names and class stay, hooks are added."""
        parts = [layer for name in self.layers for layer in _submodule(model, name).children()]
        for name in self.activation_checkpointing:
            _submodule(model, name)
        turn_on_activation_checkpointing(model, self.activation_checkpointing)
        model = self.convert_model(model)
        mesh = init_device_mesh(get_device(), (self.world_size, ))
        for part in [*parts, model]:
            fully_shard(part, mesh=mesh)
        model.to(get_device())      # what holds no trained weights
        # Called from outside of `forward`, by validation and generation.
        for name in ('predict_tokens', 'extract_feat'):
            if hasattr(model, name):
                register_fsdp_forward_method(model, name)
        _add_no_sync(model)
        here, whole = (sum(map(count, model.parameters()))
                       for count in (lambda p: p.to_local().numel(), Tensor.numel))
        self.logger.info(f'{whole / 1e6:.2f} M trained values are spread over {self.world_size} '
                         f'processes: {here / 1e6:.2f} M in this one.')
        return model

    def build_optim_wrapper(self, optim_wrapper: OptimWrapper | dict,
                            model: nn.Module | None = None) -> OptimWrapper:
        """Build the optimizer wrapper; gradients are clipped by the norm over all processes.

        Args:
            optim_wrapper: The wrapper, or its config.
            model: The sharded model.
        """
        wrapper = super().build_optim_wrapper(optim_wrapper, model)
        if isinstance(wrapper, OptimWrapperDict):
            raise ValueError('FullyShardStrategy trains with one optimizer, got '
                             f'{sorted(wrapper.keys())}: take runner_type and strategy out of the '
                             'config.')
        if wrapper.clip_grad_kwargs:
            wrapper.clip_func = with_whole_norm(wrapper.clip_func)
        return wrapper

    def model_state_dict(self) -> dict[str, Tensor]:
        """Whole weights on the CPU of the main process; all processes must take part."""
        state = self.model.state_dict()
        whole = _gathered(state)
        whole._metadata = state._metadata       # type: ignore[attr-defined]  # as torch's own
        return whole

    def optim_state_dict(self) -> dict:
        """Whole state of the optimizer, as :meth:`model_state_dict`, in mmengine's usual form."""
        return _gathered(super().optim_state_dict())

    def load_model_state_dict(self, state_dict: dict[str, Tensor], *, strict: bool = False,
                              revise_keys: Sequence[tuple[str, str]] = ((r'^module.', ''), )
                              ) -> None:
        """Take over whole weights, of which each process keeps its part.

        Args:
            state_dict: The weights by their names.
            strict: Whether the names must be the model's, all of them.
            revise_keys: Pairs of pattern and replacement for the names.
        """
        own, parts = self.model.state_dict(), with_notes({}, state_dict)
        grids = all_grids(own)
        if other := [name for name, grid in all_grids(parts).items()
                     if grids.get(name, grid) != grid]:
            raise ValueError(
                f'The position tables of {listed(other)} in the checkpoint are of another grid '
                'than the model has: a sharded model resizes nothing. Give the checkpoint to '
                'init_cfg=dict(type=\'Pretrained\', ...) of the encoder.')
        for name, value in state_dict.items():
            for pattern, replacement in revise_keys:
                name = re.sub(pattern, replacement, name)
            if name in own and value.shape != own[name].shape:
                raise ValueError(
                    f'The checkpoint has {name} of shape {tuple(value.shape)}, the model of '
                    f'{tuple(own[name].shape)}: a sharded model resizes nothing. Give the '
                    'checkpoint to init_cfg=dict(type=\'Pretrained\', ...) of the encoder.')
            parts[name] = _part_like(value, own.get(name))
        super().load_model_state_dict(parts, strict=strict, revise_keys=[])

    def load_optim_state_dict(self, state_dict: dict) -> None:
        """Take over a whole state of the optimizer, of which each process keeps its part.

        Args:
            state_dict: What an optimizer wrapper's ``state_dict`` gives.
        """
        groups = self.optim_wrapper.optimizer.param_groups
        parameters = [parameter for group in groups for parameter in group['params']]
        numbers = [number for group in state_dict['param_groups'] for number in group['params']]
        # If they are not as many, the optimizer says so.
        own = dict(zip(numbers, parameters, strict=False))
        state = {number: {key: _part_like(value, own.get(number)) for key, value in entry.items()}
                 for number, entry in state_dict['state'].items()}
        super().load_optim_state_dict({**state_dict, 'state': state})

    def load_checkpoint(self, filename: str, *, map_location: str | Callable = 'cpu',
                        **kwargs: Any) -> dict:
        """As the parent; the whole checkpoint is read to the CPU, whatever ``map_location`` says.

        Args:
            filename: Path or URL.
            map_location: Not read.
            **kwargs: ``strict``, ``revise_keys`` and ``callback`` of the parent.
        """
        return super().load_checkpoint(filename, map_location='cpu', **kwargs)

    def save_checkpoint(self, filename: str, *, save_optimizer: bool = True,
                        save_param_scheduler: bool = True, extra_ckpt: dict | None = None,
                        callback: Callable[[dict], None] | None = None) -> None:
        """Let the main process write one whole checkpoint; all processes must take part.

        Args:
            filename: The file; a local one appears only when it is whole.
            save_optimizer: Whether the optimizer's state is written.
            save_param_scheduler: Whether the schedulers' states are written.
            extra_ckpt: What else is written.
            callback: Called with the checkpoint before it is written, in the main process.
        """
        checkpoint: dict = dict(state_dict=self.model_state_dict())
        if save_optimizer and hasattr(self, 'optim_wrapper'):
            checkpoint['optimizer'] = self.optim_state_dict()
        if not is_main_process():
            return
        if save_param_scheduler and hasattr(self, 'param_schedulers'):
            checkpoint['param_schedulers'] = self.scheduler_state_dict()
        checkpoint.update(extra_ckpt or {})
        checkpoint['meta'] = {
            **checkpoint.get('meta', {}), 'seed': self.seed, 'mmengine': mmengine.__version__,
            'time': time.strftime('%Y%m%d_%H%M%S')}
        if callback is not None:
            callback(checkpoint)
        is_local = isinstance(get_file_backend(filename), LocalBackend)
        save_checkpoint(checkpoint, filename,
                        backend_args=dict(backend='addp_atomic') if is_local else None)


def with_whole_norm(clip: Callable[..., Tensor | None]) -> Callable[..., Tensor | None]:
    """Have a function that clips gradients return the norm over all processes.

    What torch returns may be a sum that is still to be done: as a number it would be that of the
    process.
    """

    @wraps(clip)
    def clip_and_sum(*args: Any, **kwargs: Any) -> Tensor | None:
        norm = clip(*args, **kwargs)
        return norm.full_tensor() if isinstance(norm, DTensor) else norm

    return clip_and_sum


def _add_no_sync(model: FSDPModule) -> None:
    """Give the model the ``no_sync`` that mmengine's optimizer wrappers ask for.

    As in DDP it is the forward pass inside of it that counts: mmengine goes backward after it.
    """
    syncs = True

    @contextmanager
    def no_sync() -> Iterator[None]:
        """Keep the gradients of what runs forward in here in each process."""
        nonlocal syncs
        syncs = False
        try:
            yield
        finally:
            syncs = True

    model.no_sync = no_sync
    model.register_forward_pre_hook(lambda *_: model.set_requires_gradient_sync(syncs))


def _submodule(model: nn.Module, name: str) -> nn.Module:
    try:
        return model.get_submodule(name)
    except AttributeError as error:
        raise ValueError(
            f'The {type(model).__name__} has no {name}, which the strategy of the config names '
            '(layers, activation_checkpointing): name modules of the model, such as '
            "'backbone.layers'.") from error


def _gathered(state: dict) -> dict:
    """The state with whole tensors on the CPU; with nothing in their place but in process 0."""
    keeps = is_main_process()

    def gather(tensor: Tensor) -> Tensor | None:
        whole = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        return whole.cpu() if keeps else None

    return apply_to(state, lambda x: isinstance(x, Tensor), gather)


def _part_like(value: Any, own: Tensor | None) -> Any:
    """The part of a whole tensor that this process keeps of its own one; else the value itself."""
    if not isinstance(own, DTensor) or not isinstance(value, Tensor) or value.shape != own.shape:
        return value
    part = distribute_tensor(value, own.device_mesh, own.placements, src_data_rank=None)
    return part.clone()     # torch promises no copy, and a view would keep the whole
