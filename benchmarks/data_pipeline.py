"""How many images per second one core loads and augments: the recipe's way and the plain one.

The recipe lets ``LoadRobustImage`` crop while it loads; the plain way has the crop as a step of its
own. Both run here in turns on the same images with the same draws, on one thread. Without --images,
photographs of the size of ImageNet's are made from the two that scikit-learn ships.

    python benchmarks/data_pipeline.py --out data_pipeline.json
"""
from __future__ import annotations

import argparse
import json
import platform
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

from addp_mm.datasets.image_folder import EXTENSIONS
from addp_mm.datasets.transforms import SeedTransforms
from addp_mm.registry import TRANSFORMS

CONFIG = Path(__file__).parents[1] / 'configs/_base_/datasets/imagenet_256.py'
Step = Callable[[dict], dict]


def parse_args(args: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--config', default=CONFIG, help='config of a training')
    parser.add_argument('--images', type=Path, help='folder of images to load')
    parser.add_argument('--num-images', type=int, default=64, help='at most so many')
    parser.add_argument('--size', type=int, nargs=2, default=(500, 375), metavar=('W', 'H'),
                        help='size of the made photographs (default: %(default)s)')
    parser.add_argument('--quality', type=int, default=92, help='JPEG quality of the made ones')
    parser.add_argument('--rounds', type=int, default=5, help='times all images are loaded')
    parser.add_argument('--gpus', type=int, default=8, help='GPUs to feed')
    parser.add_argument('--gpu-rate', type=float, default=500., metavar='RATE',
                        help='images per second that one GPU trains on (default: %(default)s)')
    parser.add_argument('--out', type=Path, help='JSON file for the numbers')
    return parser.parse_args(args)


def write_photographs(folder: Path, num_images: int, size: tuple[int, int],
                      quality: int) -> None:
    """Write crops of scikit-learn's two photographs (640 x 427 pixels) as JPEG files."""
    from sklearn.datasets import load_sample_images
    photographs = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    rng = np.random.default_rng(0)
    for index in range(num_images):
        photograph = photographs[index % 2]
        fit = min(photograph.width / size[0], photograph.height / size[1])
        width, height = (rng.uniform(0.8, 1.) * fit * side for side in size)
        left = rng.uniform(0, photograph.width - width)
        top = rng.uniform(0, photograph.height - height)
        photograph.resize(size, Image.Resampling.LANCZOS,
                          box=(left, top, left + width, top + height)
                          ).save(folder / f'{index:04d}.jpg', quality=quality)


def split_crop(pipeline: list[dict]) -> list[dict]:
    """The plain pipeline: each crop inside of a loading becomes a step of its own."""
    steps = []
    for step in pipeline:
        step = dict(step)
        crop = step.pop('crop', None)
        steps += [step] if crop is None else [step, crop]
    return steps


def load_all(steps: list[Step], paths: list[Path], epoch: int,
             outputs: list[torch.Tensor]) -> dict[str, float]:
    """Run a pipeline on all images.

    Args:
        steps: The pipeline.
        paths: The images.
        epoch: Another one has other draws.
        outputs: Gets the resulting images.

    Returns:
        Processor time of each step in milliseconds per image.
    """
    seconds = {type(step).__name__: 0. for step in steps}
    for step in steps:
        if isinstance(step, SeedTransforms):
            step.start_epoch(seed=0, epoch=epoch, rank=0, once=True)
    for index, path in enumerate(paths):
        results = dict(img_path=str(path), sample_idx=index)
        for step in steps:
            start = time.process_time()
            results = step(results)
            seconds[type(step).__name__] += time.process_time() - start
        outputs.append(results['inputs'])
    return {name: 1e3 * value / len(paths) for name, value in seconds.items()}


def compare(pipelines: dict[str, list[dict]], paths: list[Path], rounds: int) -> dict[str, Any]:
    """Time two pipelines in turns.

    Args:
        pipelines: Their configs by name.
        paths: The images.
        rounds: Times that each image is loaded, each time with other draws.

    Returns:
        For each pipeline the milliseconds per image by step, in the fastest round of each: what
        else runs on the machine only adds to them; and ``mean_difference`` of the pixels (of 255),
        on average and of the worst image.
    """
    built = {name: [TRANSFORMS.build(step) for step in steps] for name, steps in pipelines.items()}
    times, differences = {name: [] for name in built}, []
    for epoch in range(rounds + 1):     # the first one warms up
        outputs = {name: [] for name in built}
        for name, steps in built.items():
            times[name].append(load_all(steps, paths, epoch, outputs[name]))
        for first, second in zip(*outputs.values(), strict=True):
            differences.append(float((first.float() - second.float()).abs().mean()))
    result = {name: {step: min(row[step] for row in rows[1:]) for step in rows[0]}
              for name, rows in times.items()}
    result['mean_difference'] = dict(average=statistics.fmean(differences), worst=max(differences))
    return result


def summarize(times: dict[str, float], gpus: int, gpu_rate: float) -> dict[str, float]:
    """Images per second and core, and the cores that feed ``gpus`` at ``gpu_rate`` each."""
    rate = 1e3 / sum(times.values())
    return dict(ms=sum(times.values()), images_per_second_per_core=rate,
                cores=gpus * gpu_rate / rate)


def describe_machine() -> dict[str, str]:
    """Processor and libraries."""
    info = cv2.getBuildInformation()
    jpeg = re.search(r'JPEG: +(.+)', info)
    simd = re.search(r'SIMD Support: +(\w+)', info)
    cpu = platform.processor() or platform.machine()
    if Path('/proc/cpuinfo').exists():
        cpu = re.search(r'model name\s*: (.+)', Path('/proc/cpuinfo').read_text() + cpu)
        cpu = cpu.group(1) if cpu else platform.machine()
    return dict(cpu=cpu, capability=torch.backends.cpu.get_cpu_capability(),
                torch=torch.__version__, pillow=PIL.__version__, opencv=cv2.__version__,
                opencv_jpeg=jpeg.group(1) if jpeg else 'unknown',
                opencv_jpeg_simd=simd.group(1) if simd else 'unknown')


def report(result: dict[str, Any]) -> str:
    """The numbers as a table."""
    lines = [', '.join(f'{k} {v}' for k, v in result['machine'].items()),
             f'{result["num_images"]} images, {result["mean_kilobytes"]:.0f} kB on average, '
             f'{result["rounds"]} rounds, one thread', '']
    for name in ('plain', 'recipe'):
        steps = '  '.join(f'{step} {ms:.3f}' for step, ms in result['times'][name].items())
        total = result[name]
        lines.append(f'{name:7} {total["ms"]:6.2f} ms  '
                     f'{total["images_per_second_per_core"]:6.0f} images/s/core   {steps}')
    difference = result['times']['mean_difference']
    lines += ['', f'recipe / plain: {result["ratio"]:.2f} times as fast; pixels differ by '
              f'{difference["average"]:.3f} of 255 on average, {difference["worst"]:.3f} in the '
              'worst image',
              f'{result["gpus"]} GPUs at {result["gpu_rate"]:.0f} images/s each need '
              f'{result["plain"]["cores"]:.1f} cores plain, {result["recipe"]["cores"]:.1f} with '
              'the recipe']
    return '\n'.join(lines)


def run(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure on the images of a folder."""
    paths = sorted(p for p in folder.rglob('*') if p.suffix.lower() in EXTENSIONS)
    paths = paths[:args.num_images]
    if not paths:
        raise SystemExit(f'Expected images in {folder}, found none.')
    data = Config.fromfile(args.config, import_custom_modules=False).train_dataloader.dataset
    pipeline = data.get('dataset', data).pipeline   # a wrapper repeats small sets
    times = compare(dict(plain=split_crop(pipeline), recipe=pipeline), paths, args.rounds)
    totals = {name: summarize(times[name], args.gpus, args.gpu_rate)
              for name in ('plain', 'recipe')}
    return dict(machine=describe_machine(), num_images=len(paths), rounds=args.rounds,
                mean_kilobytes=statistics.fmean(p.stat().st_size for p in paths) / 1e3,
                gpus=args.gpus, gpu_rate=args.gpu_rate, times=times, **totals,
                ratio=totals['plain']['ms'] / totals['recipe']['ms'])


def main(args: list[str] | None = None) -> dict[str, Any]:
    """Measure, print, and write what --out names."""
    args = parse_args(args)
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    init_default_scope('mmpretrain')
    with tempfile.TemporaryDirectory() as made:
        if args.images is None:
            write_photographs(Path(made), args.num_images, tuple(args.size), args.quality)
        result = run(args, args.images or Path(made))
    print(report(result))
    if args.out:
        args.out.write_text(json.dumps(result, indent=2) + '\n')
    return result


if __name__ == '__main__':
    main()
