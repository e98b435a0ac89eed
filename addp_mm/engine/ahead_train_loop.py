"""Training in which the frozen parts are one batch ahead of what is trained."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from mmengine.runner import EpochBasedTrainLoop
from torch import Tensor, nn

from ..registry import LOOPS
from .hooks import SeedIterationHook
from .unwrapped import unwrapped


class PreparedBatch(dict):
    """What a data preprocessor made of a batch, before its iteration begins.

    Args:
        content: The preprocessor's output.
        done: Event of the stream that computes it; None where there are no streams.
        draws: State of torch's default generators after it, the GPU's last; None lets them go on
            from where they are.
    """

    def __init__(self, content: dict, done: torch.cuda.Event | None,
                 draws: list[Tensor] | None) -> None:
        super().__init__(content)
        self._done = done
        self._draws = draws

    def hand_over(self, device: torch.device) -> None:
        """Let the present stream wait for the batch, and go on with the draws behind it."""
        if self._draws is not None:
            torch.set_rng_state(self._draws[0])
            if device.type == 'cuda':
                torch.cuda.set_rng_state(self._draws[1], device)
        if self._done is None:
            return
        stream = torch.cuda.current_stream(device)
        stream.wait_event(self._done)
        for tensor in _tensors(dict(self)):
            tensor.record_stream(stream)    # or its memory would be given away too early


@LOOPS.register_module()
class AheadTrainLoop(EpochBasedTrainLoop):
    """mmengine's ``EpochBasedTrainLoop``, with the frozen parts one batch ahead.

    While the student learns from a batch, the data preprocessor prepares the next one: on a GPU on
    a stream of its own, so that it fills the gaps that the optimizer, small kernels and the host
    leave. Masks, dropout and losses are those of the parent with a ``SeedIterationHook``, which
    says what an iteration draws; without that hook the draws come in another order. No batch is
    prepared over the end of an epoch, so that a resumed run repeats the uninterrupted one.

    The data preprocessor must return a batch that it has prepared already as it is, as
    ``ADDPDataPreprocessor`` does. On a CPU the parts run one after the other and nothing is gained.
    """

    def run(self) -> nn.Module:
        """Train."""
        self._device = next(self.runner.model.parameters()).device
        self._stream = torch.cuda.Stream(self._device) if self._device.type == 'cuda' else None
        return super().run()

    def run_epoch(self) -> None:
        """Iterate one epoch."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        for idx, data_batch in enumerate(self._prepared()):
            self.run_iter(idx, data_batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def run_iter(self, idx: int, data_batch: PreparedBatch) -> None:
        """Train on one batch.

        Args:
            idx: Number of the batch in its epoch.
            data_batch: A batch that is prepared, or being prepared on the other stream.
        """
        self.runner.call_hook('before_train_iter', batch_idx=idx, data_batch=data_batch)
        data_batch.hand_over(self._device)
        outputs = self.runner.model.train_step(data_batch, optim_wrapper=self.runner.optim_wrapper)
        self.runner.call_hook(
            'after_train_iter', batch_idx=idx, data_batch=data_batch, outputs=outputs)
        self._iter += 1

    def _prepared(self) -> Iterator[PreparedBatch]:
        """Every batch of the epoch, handed out once the next one has been started."""
        if self._stream is not None:        # the weights, and where the last epoch left off
            self._stream.wait_stream(torch.cuda.current_stream(self._device))
        ahead = None
        for number, batch in enumerate(self.dataloader, start=self._iter):
            following = self._prepare(batch, number)
            if ahead is not None:
                yield ahead
            ahead = following
        if ahead is not None:
            yield ahead

    def _prepare(self, batch: Mapping | Sequence, iteration: int) -> PreparedBatch:
        seeding = [hook for hook in self.runner.hooks if isinstance(hook, SeedIterationHook)]
        for hook in seeding:
            hook.seed(self.runner, iteration)
        with torch.cuda.stream(self._stream):       # does nothing where there is none
            content = unwrapped(self.runner.model).data_preprocessor(batch, True)
        done = None if self._stream is None else self._stream.record_event()
        return PreparedBatch(content, done, self._draws() if seeding else None)

    def _draws(self) -> list[Tensor]:
        states = [torch.get_rng_state()]
        if self._device.type == 'cuda':
            states.append(torch.cuda.get_rng_state(self._device))
        return states


def _tensors(content: Any) -> Iterator[Tensor]:
    """Every tensor in dicts, sequences and objects such as a ``NoisySample``."""
    if isinstance(content, Tensor):
        yield content
    elif isinstance(content, Mapping):
        yield from _tensors(list(content.values()))
    elif isinstance(content, (list, tuple)):
        for part in content:
            yield from _tensors(part)
    elif hasattr(content, '__dict__'):
        yield from _tensors(vars(content))
