"""What the benchmarks share: time in turns, peak memory, operations, the machine's ceiling."""
from __future__ import annotations

import json
import platform
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from addp_mm.apis.generation_speed import Stopwatch

Parts = dict[str, float]


def describe_machine(device: str) -> dict[str, Any]:
    """Processor or GPU, threads and version of torch."""
    cpu = platform.processor() or platform.machine()
    if Path('/proc/cpuinfo').exists():
        found = re.search(r'model name\s*: (.+)', Path('/proc/cpuinfo').read_text())
        cpu = found.group(1) if found else cpu
    machine = dict(cpu=cpu, threads=torch.get_num_threads(), torch=torch.__version__)
    if torch.device(device).type == 'cuda':
        machine['gpu'] = torch.cuda.get_device_name(device)
    return machine


def ceiling_rate(dtype: str, device: str, repeats: int = 5) -> float:
    """Operations per second of a large square matrix product or convolution.

    The faster of the two, each the fastest of some: on a CPU the libraries behind them differ.
    """
    size, channels, pixels = (2048, 128, 256) if device == 'cpu' else (8192, 512, 256)
    like = dict(device=device, dtype=getattr(torch, dtype))
    left, right = (torch.randn(size, size, **like) for _ in range(2))
    images = torch.randn(1, channels, pixels, pixels, **like)
    kernel = torch.randn(channels, channels, 3, 3, **like)
    images, kernel = (t.to(memory_format=torch.channels_last) for t in (images, kernel))
    product = _fastest(lambda: torch.mm(left, right), device, repeats)
    convolution = _fastest(lambda: torch.conv2d(images, kernel, padding=1), device, repeats)
    return max(2 * size**3 / product, 2 * 9 * (channels * pixels)**2 / convolution)


def _fastest(function: Callable[[], Any], device: str, repeats: int) -> float:
    function()      # warms up
    watch, times = Stopwatch(torch.device(device)), []
    for _ in range(repeats):
        start = watch.now()
        function()
        times.append(watch.now() - start)
    return min(times)


def count_operations(function: Callable[[], Any]) -> int:
    """Run a function and count the operations of its products and convolutions."""
    with FlopCounterMode(display=False, custom_mapping=_cpu_attention()) as counter:
        function()
    return counter.get_total_flops()


class CountedOnce:
    """A timed function whose operations are counted in its first call.

    Args:
        function: Gives the seconds of its parts.
    """

    def __init__(self, function: Callable[[], Parts]) -> None:
        self.function = function
        self.operations = 0

    def __call__(self) -> Parts:
        """Run the function; the first call is slower by the counting."""
        if self.operations:
            return self.function()
        results = []
        self.operations = count_operations(lambda: results.append(self.function()))
        return results[0]


def in_turns(functions: dict[str, Callable[[], Parts]], rounds: int) -> dict[str, Parts]:
    """Time functions in turns.

    Args:
        functions: By name what runs one variant once and gives the seconds of its parts.
        rounds: Times that each one runs.

    Returns:
        The parts of each one's fastest round: what else runs on the machine only adds to them.
    """
    results = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            results[name].append(function())
    return {name: min(rows, key=lambda row: sum(row.values())) for name, rows in results.items()}


class PeakMemory:
    """Most memory in bytes while a ``with`` block runs, above what there was at its start.

    Args:
        device: 'cpu' asks Linux for that of the process, else the allocator of the GPU counts.
    """

    def __init__(self, device: str) -> None:
        self.on_gpu = torch.device(device).type == 'cuda'
        self.bytes = self.start = self.peak = 0

    def __enter__(self) -> PeakMemory:
        if self.on_gpu:
            torch.cuda.reset_peak_memory_stats()
            self.start = torch.cuda.memory_allocated()
        else:
            # Linux begins anew to count the highest memory of this process (proc(5)).
            Path('/proc/self/clear_refs').write_text('5', encoding='ascii')
            self.start = resident_bytes('VmRSS')
        return self

    def __exit__(self, *error: object) -> None:
        if self.on_gpu:
            self.peak = torch.cuda.max_memory_allocated()
        else:
            self.peak = resident_bytes('VmHWM')
        self.bytes = self.peak - self.start


def resident_bytes(name: str) -> int:
    """Memory of this process: 'VmRSS' now, 'VmHWM' at most (proc(5))."""
    status = Path('/proc/self/status').read_text(encoding='ascii')
    return 1024 * int(re.search(rf'^{name}:\s+(\d+) kB', status, re.M)[1])


def peak_memory(script: str, args: Sequence[str]) -> float:
    """Peak memory in GB of a process that runs a script with some more arguments.

    The script ends its output with what :func:`print_peak_memory` prints.
    """
    done = subprocess.run([sys.executable, script, *args], check=True, text=True,
                          stdout=subprocess.PIPE)
    return float(done.stdout.split()[-1])


def print_peak_memory() -> None:
    """Print the peak memory of this process in GB."""
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)


def summarize(parts: Parts, num_images: int, operations: int, ceiling: float) -> dict[str, Any]:
    """Seconds by part, images per second, and the share of the ceiling in [0, 1]."""
    seconds = sum(parts.values())
    return dict(seconds=seconds, parts=parts, images_per_second=num_images / seconds,
                operations=operations, share_of_ceiling=operations / seconds / ceiling)


def table(results: dict[str, dict[str, Any]]) -> str:
    """The numbers as a table; every variant is compared with the first."""
    first = next(iter(results.values()))
    names = ['', *results]
    rows = [[part, *(f'{r["parts"].get(part, 0.):.3f} s' for r in results.values())]
            for part in first['parts']]
    for label, form in (
            ('together', lambda r: f'{r["seconds"]:.3f} s'),
            ('images/s', lambda r: f'{r["images_per_second"]:.3f}'),
            ('times as fast', lambda r: f'{first["seconds"] / r["seconds"]:.2f}'),
            ('peak memory', lambda r: f'{r["peak_memory_gb"]:.2f} GB'),
            ('operations', lambda r: f'{r["operations"] / 1e9:.0f} G'),
            ('of the ceiling', lambda r: f'{100 * r["share_of_ceiling"]:.0f} %'),
            ('dtype', lambda r: r['dtype'])):
        rows.append([label, *map(form, results.values())])
    return '\n'.join(''.join(f'{cell:>18}' for cell in row) for row in [names, *rows])


def write_json(result: dict[str, Any], path: Path | None) -> None:
    """Write the numbers, if a file is named."""
    if path:
        path.write_text(json.dumps(result, indent=2) + '\n')


def _cpu_attention() -> dict:
    """Torch's fused attention on a CPU, which it does not count itself."""

    def forward(query: Sequence[int], key: Sequence[int], value: Sequence[int], *_: Any,
                **__: Any) -> int:
        return sdpa_flop_count(query, key, value)

    def backward(grad: Sequence[int], query: Sequence[int], key: Sequence[int],
                 value: Sequence[int], *_: Any, **__: Any) -> int:
        return sdpa_backward_flop_count(grad, query, key, value)

    ops = torch.ops.aten
    return {ops._scaled_dot_product_flash_attention_for_cpu: forward,
            ops._scaled_dot_product_flash_attention_for_cpu_backward: backward}
