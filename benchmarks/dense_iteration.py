r"""One training iteration of a detection or segmentation config: time and peak memory.

  python benchmarks/dense_iteration.py configs/mmdet/mask-rcnn_vitdet-b_100e.py
  python benchmarks/dense_iteration.py configs/mmdet/mask-rcnn_vitdet-b_100e.py \
      --batch-size 4 --iterations 10                                        # on a GPU

The model, its resolution and its optimizer are the config's; the images are noise, with seven
objects each, or an annotation of all classes. The encoder starts from a checkpoint of random
weights, written and read as one of the pre-training. Every config runs in a process of its own.
"""
from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import measuring
import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData, PixelData

import addp_mm  # noqa: F401  (registers)
from addp_mm.models.addp import ADDPViT

NUM_OBJECTS = 7     # COCO has 7.3 on an image


def parse_args(args: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='+', type=Path)
    parser.add_argument('--batch-size', type=int, default=2,
                        help='images; UperNet needs two for the batch statistics of its 1 x 1 maps '
                             '(default: 2)')
    parser.add_argument('--iterations', type=int, default=1,
                        help='how many; the fastest one counts (default: 1)')
    parser.add_argument('--out', type=Path, help='JSON file for the numbers')
    parser.add_argument('--json', action='store_true', help='print one result and nothing else')
    return parser.parse_args(args)


def main() -> None:
    """Measure each config in a new process and print a table."""
    args = parse_args()
    if args.json:
        print(json.dumps(measure(args.configs[0], args.batch_size, args.iterations)))
        return
    print('| config | parameters | pixels | images | s per iteration | peak memory |\n' + '|---' * 6
          + '|')
    results = {}
    for config in args.configs:
        command = [sys.executable, __file__, config, '--json', '--batch-size', args.batch_size,
                   '--iterations', args.iterations]
        output = subprocess.run([str(word) for word in command], check=True, text=True,
                                stdout=subprocess.PIPE).stdout
        results[config.stem] = json.loads(output.splitlines()[-1])
        print(format_row(config, results[config.stem]), flush=True)
    measuring.write_json(dict(machine=measuring.describe_machine(get_device()), results=results),
                         args.out)


def measure(path: Path, batch_size: int, iterations: int) -> dict[str, float]:
    """Train a config's model for some iterations.

    Args:
        path: The config.
        batch_size: Images of an iteration.
        iterations: Number of iterations.

    Returns:
        ``parameters``, ``size`` (pixels), ``images``, ``seconds`` of the fastest iteration (on
        a CPU those of the processor), ``memory`` in GiB: of the process on a CPU, of the tensors on
        a GPU, optimizer included.
    """
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    with tempfile.TemporaryDirectory() as folder:
        if 'arch' in cfg.model.backbone and 'tokenizer' not in cfg.model.backbone:
            cfg.model.backbone.init_cfg.checkpoint = write_encoder(
                cfg.model.backbone, Path(folder) / 'encoder.pth')
        else:
            cfg.model.backbone.init_cfg = None
        model = MODELS.build(cfg.model)
        model.init_weights()
    model = model.to(get_device()).train()
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    size = cfg.image_size[0] if 'image_size' in cfg else cfg.model.backbone.img_size
    batch = make_batch(cfg, size, batch_size)
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    times = [clock()]
    for _ in range(iterations):
        losses = model.train_step(batch, wrapper)
        # This waits for the GPU, to read the losses.
        assert all(loss.isfinite().all() for loss in losses.values()), 'the loss is not finite'
        times.append(clock())
    return dict(parameters=sum(p.numel() for p in model.parameters()), size=size,
                images=batch_size, seconds=float(np.diff(times).min()), memory=peak_memory())


def write_encoder(backbone: dict, path: Path) -> str:
    """A checkpoint of an encoder that was never trained, as the pre-training makes it."""
    encoder = ADDPViT(arch=backbone.arch, img_size=backbone.get('pretrain_img_size', 256),
                      patch_size=backbone.get('patch_size', 16))
    encoder.init_weights()
    weights = {f'backbone.{name}': tensor for name, tensor in encoder.state_dict().items()}
    torch.save(dict(state_dict=weights, meta={}), path)
    return str(path)


def make_batch(cfg: Config, size: int, batch_size: int) -> dict[str, list]:
    """What the data loader of mmdet or mmseg gives."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (batch_size, 3, size, size), generator=generator,
                           dtype=torch.uint8)
    if cfg.default_scope == 'mmdet':
        label, classes = _label_instances, cfg.model.roi_head.bbox_head.num_classes
    else:
        label, classes = _label_pixels, cfg.model.decode_head.num_classes
    samples = [label(size, classes, generator) for _ in images]
    return dict(inputs=list(images), data_samples=samples)


def _label_instances(size: int, num_classes: int, generator: torch.Generator) -> object:
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks
    corners = (torch.rand(NUM_OBJECTS, 2, generator=generator) * 0.7 * size).long()
    sides = (16 + torch.rand(NUM_OBJECTS, 2, generator=generator) * 0.3 * size).long()
    boxes = torch.cat((corners, (corners + sides).clamp(max=size)), dim=1)
    masks = np.zeros((NUM_OBJECTS, size, size), np.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes.tolist(), strict=True):
        mask[top:bottom, left:right] = 1
    sample = DetDataSample(metainfo=dict(img_shape=(size, size), ori_shape=(size, size)))
    sample.gt_instances = InstanceData(
        bboxes=boxes.float(), masks=BitmapMasks(masks, size, size),
        labels=torch.randint(num_classes, (NUM_OBJECTS, ), generator=generator))
    return sample


def _label_pixels(size: int, num_classes: int, generator: torch.Generator) -> object:
    from mmseg.structures import SegDataSample
    sample = SegDataSample(metainfo=dict(img_shape=(size, size), ori_shape=(size, size)))
    sample.gt_sem_seg = PixelData(
        data=torch.randint(num_classes, (1, size, size), generator=generator))
    return sample


def peak_memory() -> float:
    """GiB at the most so far."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def format_row(config: Path, result: dict[str, float]) -> str:
    """A result as a row of the table."""
    return (f'| {config.stem} | {result["parameters"] / 1e6:.0f} M | {result["size"]} | '
            f'{result["images"]} | {result["seconds"]:.3g} | {result["memory"]:.1f} GiB |')


if __name__ == '__main__':
    main()
