"""Many generated images, edited ones and pictures of them, as files; also in several processes."""
from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import mmengine.dist as dist
import numpy as np
import torch
from mmengine.device import get_device
from mmengine.logging import MMLogger

from ..checkpoints.run_settings import model_settings
from ..checkpoints.weight_files import sha256_of
from ..datasets.image_reader import is_whole_png
from ..generation import extend, from_pixels, to_pixels, uncrop_margins
from ..visualization import edits, spread_steps
from ..whole_numbers import check_positive, check_whole
from .check_config import set_options
from .freed_memory import keep_freed_memory
from .image_input import read_image, read_mask
from .inferencer import ADDPInferencer
from .machine import rank_environment
from .model_source import read_config
from .output_folder import OutputFolder, save_image
from .pictures import draw_generation, draw_steps

_PATIENCE = datetime.timedelta(days=7)      # the fastest process waits for the slowest


def build_inferencer(config: str | Path, weights: str | Path | None = None,
                     device: str | None = None, dtype: str = 'float32', cuda_graphs: bool = False,
                     cfg_options: Mapping[str, Any] | None = None) -> ADDPInferencer:
    """The inferencer of a config file or a name, on the GPU of this process if there is one.

    Args:
        config: See :class:`ADDPInferencer`, also for the rest.
        weights: Its checkpoint; a name has its own.
        device: Where to run.
        dtype: Precision.
        cuda_graphs: Replay the networks as CUDA graphs.
        cfg_options: Changes of the config by dotted key.

    Raises:
        ValueError: If there are no weights.
    """
    cfg, weights = read_config(config, weights)
    if weights is None:
        raise ValueError(f'Expected a checkpoint behind the config {config}: without one the model '
                         'would have its start values.')
    set_options(cfg, cfg_options)
    device = device or get_device()
    if device == 'cuda' and torch.cuda.is_available():
        device = f'cuda:{int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count()}'
    if device == 'cpu':
        keep_freed_memory()
    return ADDPInferencer(cfg, weights, device, dtype, cuda_graphs)


def connect_processes(launcher: str = 'none') -> None:
    """Connect the processes of a launcher; those of torchrun are also seen without a name.

    Only messages are exchanged, no tensors, so that gloo does on GPUs too.

    Args:
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'.
    """
    if launcher == 'none' and int(os.environ.get('WORLD_SIZE', 1)) > 1:
        launcher = 'pytorch'
    if launcher != 'none' and not torch.distributed.is_initialized():
        os.environ.update(rank_environment(launcher))
        torch.distributed.init_process_group('gloo', timeout=_PATIENCE)


def generate(inferencer: ADDPInferencer, out: str | Path, num_images: int, seed: int = 0,
             batch_size: int = 16, save_steps: bool = False, overwrite: bool = False,
             on_images: Callable[[int, int], None] | None = None, **sampler: Any) -> Path:
    """Generate numbered images as files, each process its share; what is there whole is kept.

    Args:
        inferencer: The model, with the weights of a file.
        out: Folder of the images, or a file that ends in .npz.
        num_images: Wanted number of images, from index 0.
        seed: See :meth:`ADDPInferencer.generate`.
        batch_size: Images at a time.
        save_steps: Draw the steps of each image too.
        overwrite: Remove the images of another run.
        on_images: Told how many images of this process are done and how many there are.
        **sampler: Options of the sampler.

    Returns:
        The folder or the archive.

    Raises:
        ValueError: If an option is out of range, the inferencer has no weights of a file, or the
            folder holds images of another run.
    """
    check_positive(num_images=num_images, batch_size=batch_size)
    check_whole(seed=seed)
    if save_steps and Path(out).suffix == '.npz':
        raise ValueError(f'--save-steps needs a folder for --out, got {out}: an archive holds the '
                         'images alone.')
    if inferencer.weights is None:
        raise ValueError('The images of a run are known by the file of the weights: expected an '
                         'inferencer with `weights`.')
    generator = inferencer.generator(**sampler)
    settings = dict(
        checkpoint_sha256=sha256_of(inferencer.weights),
        tokenizer_sha256=inferencer.model.data_preprocessor.tokenizer.sha256,
        model=model_settings(inferencer.config), image_size=list(inferencer.image_size),
        seed=seed, dtype=inferencer.dtype,
        **generator.sampler.options(generator.num_tokens))
    folder = OutputFolder(out, settings, overwrite)
    files = [folder.image_path, *([folder.steps_path] if save_steps else [])]
    for file in files:
        file(0).parent.mkdir(parents=True, exist_ok=True)
    # A power failure may leave files that are empty or cut off.
    missing = [i for i in range(num_images) if not all(is_whole_png(file(i)) for file in files)]
    dist.barrier()      # No process may begin before all have seen the same files.
    share = missing[dist.get_rank()::dist.get_world_size()]
    _write_images(inferencer, folder, share, seed, batch_size, save_steps, on_images, sampler)
    place = folder.finish(num_images)
    further = folder.num_further(num_images) if place == folder.folder else 0
    more = f', which holds {further} more of this run' if further else ''
    MMLogger.get_current_instance().info(f'{num_images} images are in {place}{more}')
    return place


def _write_images(inferencer: ADDPInferencer, folder: OutputFolder, share: Sequence[int], seed: int,
                  batch_size: int, save_steps: bool,
                  on_images: Callable[[int, int], None] | None, sampler: dict[str, Any]) -> None:
    num_steps, done = inferencer.generator(**sampler).schedule.num_steps, 0
    batches = inferencer.generate_batches(
        share, seed, batch_size, record=save_steps and spread_steps(num_steps), **sampler)
    for indices, result in batches:
        pixels = to_pixels(result.images).numpy()
        for i, index in enumerate(indices):
            if save_steps:
                save_image(draw_steps(result, i, num_steps), folder.steps_path(index))
            save_image(pixels[i], folder.image_path(index))
        done += len(indices)
        if on_images is not None:
            on_images(done, len(share))


def edit(inferencer: ADDPInferencer, image: str | Path, out: Path, mask: str | Path | None = None,
         outpaint: Sequence[int] | None = None, uncrop: float | None = None,
         prior: str | Path | None = None, num_samples: int = 4, seed: int = 0,
         batch_size: int = 16, overwrite: bool = False, **sampler: Any) -> list[Path]:
    """Edit an image and write the results and an overview as files.

    Args:
        inferencer: The model.
        image: File of the image.
        out: Folder for ``<image>_0.png`` ... and ``<image>_edits.png``.
        mask: File of a picture, white where the image is to be replaced; or ...
        outpaint: ... pixels to add: left, top, right, bottom; or ...
        uncrop: ... how many times as long the sides become.
        prior: See :meth:`ADDPInferencer.inpaint`, also for the rest.
        num_samples: Number of results.
        seed: Any integer.
        batch_size: Results at a time.
        overwrite: Replace existing files, and remove the other results of an earlier run.
        **sampler: Options of the sampler, ``blend`` and ``blend_width``.

    Returns:
        The written files: the results, then the overview.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If the mask does not fit the image, nothing says what to edit, a file exists
            already, or an option is out of range.
    """
    check_positive(num_samples=num_samples, batch_size=batch_size)
    canvas, region = _edited_region(image, mask, outpaint, uncrop)
    hint = None if prior is None else read_image(prior)
    names = [*map(str, range(num_samples)), 'edits']
    paths = [out / f'{Path(image).stem}_{name}.png' for name in names]
    existing = [path for path in paths if path.exists()]
    if existing and not overwrite:
        raise ValueError(f'{existing[0]} exists already. Choose another --out, or allow it to be '
                         'replaced with --overwrite.')
    results = inferencer.edit(canvas, region, num_samples, seed, hint, batch_size, **sampler)
    if paths[-1].exists():
        _remove_further(out, Path(image).stem, num_samples)
    pictures = [*results, edits(canvas, region, from_pixels(results))]
    _save(pictures, paths)
    MMLogger.get_current_instance().info(f'The results are in {out}; all on one picture: '
                                         f'{paths[-1]}')
    return paths


def _remove_further(out: Path, stem: str, number: int) -> None:
    """Remove the results of a run of more, whose numbers go on without a gap."""
    while (path := out / f'{stem}_{number}.png').exists():
        path.unlink()
        number += 1


def draw(inferencer: ADDPInferencer, out: Path, num_images: int = 16, seed: int = 0,
         batch_size: int = 16, **sampler: Any) -> list[Path]:
    """Draw generated images, see :func:`draw_generation`, and write the pictures as files.

    Args:
        inferencer: The model.
        out: Folder of the pictures.
        num_images: How many images.
        seed: Any integer.
        batch_size: Images at a time.
        **sampler: Options of the sampler.

    Returns:
        The written pictures.

    Raises:
        ValueError: If an option is out of range.
    """
    pictures = draw_generation(inferencer, num_images, seed, batch_size, **sampler)
    paths = [out / f'{name}.png' for name in pictures]
    _save(list(pictures.values()), paths)
    MMLogger.get_current_instance().info(f'The pictures {", ".join(pictures)} are in {out}')
    return paths


def _save(pictures: Sequence[np.ndarray], paths: Sequence[Path]) -> None:
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    for picture, path in zip(pictures, paths, strict=True):
        save_image(picture, path)


def _edited_region(file: str | Path, mask: str | Path | None, outpaint: Sequence[int] | None,
                   uncrop: float | None) -> tuple[torch.Tensor, torch.Tensor]:
    """The image (3, H, W), larger where it is to be continued, and the mask (H, W)."""
    image = read_image(file)
    size = tuple(image.shape[1:])
    if mask is not None:
        return image, read_mask(mask, size)
    if uncrop is not None:
        return extend(image, **uncrop_margins(size, uncrop))
    if outpaint is None:
        raise ValueError('Nothing says what to edit: expected mask, outpaint or uncrop.')
    return extend(image, *outpaint)
