from __future__ import annotations

import json
import platform
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import equality
import freed_memory
import generation
import measuring
import memory
import pretraining_step
import pytest
import torch
import train_loop


def test_turns_alternate_and_the_fastest_round_counts():
    calls, seconds = [], iter([3., 9., 2., 1.])

    def timed(name: str) -> Callable[[], dict[str, float]]:
        def call() -> dict[str, float]:
            calls.append(name)
            return dict(part=next(seconds), rest=1.)
        return call

    best = measuring.in_turns(dict(a=timed('a'), b=timed('b')), rounds=2)
    assert calls == ['a', 'b', 'a', 'b']
    assert best == dict(a=dict(part=2., rest=1.), b=dict(part=1., rest=1.))


def test_operations_of_products_convolutions_and_attention():
    left = torch.randn(3, 5)
    assert measuring.count_operations(lambda: left @ left.t()) == 2 * 3 * 5 * 3
    query = torch.randn(1, 2, 16, 8)
    attention = measuring.count_operations(
        lambda: torch.nn.functional.scaled_dot_product_attention(query, query, query))
    assert attention == 2 * 2 * 2 * 16 * 16 * 8


def test_operations_are_counted_in_the_first_call_only():
    left, calls = torch.randn(3, 5), []
    counted = measuring.CountedOnce(lambda: calls.append(left @ left.t()) or dict(part=1.))
    assert [counted(), counted()] == [dict(part=1.)] * 2
    assert len(calls) == 2 and counted.operations == 90


def test_the_ceiling_is_a_rate_per_second():
    assert 1e8 < measuring.ceiling_rate('float32', 'cpu', repeats=1) < 1e15


def test_share_of_the_ceiling():
    result = measuring.summarize(dict(a=1., b=3.), num_images=8, operations=80, ceiling=100.)
    assert result['images_per_second'] == 2. and result['share_of_ceiling'] == 0.2


def test_parts_of_a_training_step(tiny: Namespace):
    first, second = (pretraining_step.Step(v, tiny) for v in ('plain', 'ours'))
    before = second.model.backbone.cls_token.detach().clone()
    for step in (first, second):
        assert list(step()) == ['VQ encoding', 'predictor', 'VQ decoding', 'student forward',
                                'backward', 'optimizer']
    assert first.loss == pytest.approx(float(second.loss), rel=0.05)
    assert not torch.equal(second.model.backbone.cls_token, before), 'no step was taken'
    assert second.optim.optimizer.defaults['fused'] and not first.optim.optimizer.defaults['fused']


def test_parts_of_generation(tiny: Namespace):
    parts = generation.Generation('ours', tiny)()
    assert set(parts) == {'network', 'VQ decoding', 'sampling'}
    assert all(seconds > 0 for seconds in parts.values())


@pytest.mark.slow
def test_a_whole_benchmark(tmp_path, capsys):
    out = tmp_path / 'step.json'
    result = pretraining_step.main(['--arch', 'tiny', '--batch-size', '1', '--rounds', '1',
                                    '--variants', 'ours', '--out', str(out)])
    row = result['results']['ours']
    assert row['peak_memory_gb'] > 0.1 and row['operations'] > 1e9 and out.exists()
    assert 'of the ceiling' in capsys.readouterr().out


def test_a_few_steps_stay_within_the_bounds(capsys):
    result = equality.main(['--steps', '4', '--noisy-runs', '1', '--batch-size', '2'])
    assert result['within']['float32'] and len(result['curves']['ours']) == 4
    assert 0 < result['distance']['ours'] < 0.05


def test_the_memory_formula_is_what_a_small_model_keeps(tmp_path):
    check = memory.check_formula(Namespace(frozen=tmp_path, mask_ratio=0.745))
    assert check['ratio'] == pytest.approx(1., abs=0.05)


def test_memory_grows_with_depth_and_shrinks_with_checkpointing():
    stack, deep = memory.Stack(4, 100, 64, 4), memory.Stack(8, 100, 64, 4)
    assert deep.bytes(memory.GPU_MASK) == 2 * stack.bytes(memory.GPU_MASK)
    assert deep.bytes(memory.GPU_MASK, True) < deep.bytes(memory.GPU_MASK) / 4
    assert stack.bytes(memory.GPU_MASK) < stack.bytes(memory.CPU_MASK)


def test_loops_in_turns(tmp_path: Path):
    out = tmp_path / 'loops.json'
    words = ['--arch', 'tiny', '--batch-size', '2', '--iterations', '2', '--rounds', '1']
    result = train_loop.main([*words, '--out', str(out)])
    assert json.loads(out.read_text()) == result
    assert set(result['seconds']) == set(train_loop.LOOPS) and min(result['seconds'].values()) > 0


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='needs glibc')
@pytest.mark.slow
def test_kept_memory_has_few_page_faults():
    words = ['--arch', 'tiny', '--batch-size', '8', '--rounds', '1']
    rows = freed_memory.main(words)['results']
    assert rows['kept']['page_faults'] < 0.5 * rows['given back']['page_faults']
