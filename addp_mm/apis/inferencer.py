"""Images and features from a trained model, in a few lines of Python."""
from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import ModelCard
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import BaseModel
from rich.console import Console
from rich.progress import track
from torch import Tensor

from ..generation import (
    ImageGenerator,
    Inpainting,
    SamplingResult,
    capture_networks,
    extend,
    networks_of,
    to_pixels,
    uncrop_margins,
)
from ..whole_numbers import check_positive, check_whole
from .encoder_outputs import encoder_outputs
from .hub_folder import HubFolder, folder_of
from .image_input import (
    ImageInput,
    ImagesInput,
    fit_to_model,
    list_images,
    read_image,
    read_mask,
)
from .load_model import build_model
from .model_card import model_card
from .model_source import read_config
from .precision import check_device, set_dtype, without_tf32
from .result_paths import ResultPaths
from .shared_folder import write_shared


class ADDPInferencer(HubFolder):
    """Generates and edits images, reconstructs them through the tokenizer, extracts features.

    Arrays that come in and out are uint8 RGB, (H, W, 3). Options of the sampler are given by name
    to the calls: ``num_steps``, ``schedule``, ``temperature``, ``dynamic``, ``top_p``,
    ``rounding``, ``final`` and ``rescale``, see :class:`DenoisingSampler`.

    Args:
        model: Name of a released model, see :func:`list_models`; folder that
            :meth:`save_pretrained` has written; config file or config of a training of type
            ``ADDP``, or of type ``MAGETraining``, which knows no features; or a
            built model, which is taken over.
        weights: Checkpoint of that training, a converted file, or ``addp://`` and the name of a
            released one. None: those of the released model, those that a built model has, or the
            start values of a config.
        device: Where to run; a GPU if there is one, by default.
        dtype: Precision of all networks: 'float32' (reference release), 'bfloat16' or 'float16';
            'float64' for pixels that do not depend on device, batch size or number of threads.
        cuda_graphs: Replay the networks as CUDA graphs, see :func:`capture_networks`: for small
            batches, where starting the kernels takes longer than they do.
        show_progress: Show a bar on stderr, if that is a terminal.

    Raises:
        ConnectionError: If a released file is not here and cannot be downloaded.
        FileNotFoundError: If a file does not exist.
        ValueError: If there is no released model of that name, the weights do not fit the config,
            it cannot generate, this machine does not have the device, or there are to be CUDA
            graphs without a GPU.

    Example:
        >>> inferencer = ADDPInferencer('addp_vit-l_800e')
        >>> images = inferencer.generate(16, seed=1, num_steps=12)
        >>> edits = inferencer.inpaint('photo.jpg', 'mask.png', num_samples=4)
        >>> vectors = inferencer('photos/', batch_size=32, out_dir='features')['predictions']
    """

    def __init__(self, model: str | Path | Config | BaseModel, weights: str | Path | None = None,
                 device: str | torch.device | None = None, dtype: str = 'float32',
                 cuda_graphs: bool = False, show_progress: bool = True) -> None:
        self.device = check_device(get_device() if device is None else device)
        if isinstance(model, (str, Path)):
            model, weights = read_config(model, weights)
        self.weights, self.dtype, self.show_progress = weights, dtype, show_progress
        self.config = model if isinstance(model, Config) else None
        self.model = build_model(model, weights)
        self._autocast = set_dtype(self.model, dtype, self.device)
        self.model.to(self.device).eval()
        networks = networks_of(self.model)
        self.networks = capture_networks(networks) if cuda_graphs else networks

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of generated images."""
        return self.networks.image_size

    def generate(self, num_images: int = 1, seed: int = 0, first_index: int = 0,
                 batch_size: int = 16, **sampler: Any) -> np.ndarray:
        """New images.

        Args:
            num_images: How many.
            seed: Any integer. Image i of a seed is the same in every call with the same sampler.
            first_index: Number of the first image.
            batch_size: Images at a time.
            **sampler: Options of the sampler.

        Returns:
            (N, H, W, 3) uint8, truncated as in the reference release.

        Raises:
            ValueError: If a number or an option is out of range.
        """
        check_positive(num_images=num_images, batch_size=batch_size)
        check_whole(first_index=first_index)
        indices = range(first_index, first_index + num_images)
        starts = self._track(range(0, num_images, batch_size), 'Generating')
        parts = self.generate_batches(indices, seed, batch_size, **sampler)
        return np.concatenate([to_pixels(result.images).numpy()
                               for _, (_, result) in zip(starts, parts, strict=True)])

    def generate_batches(self, indices: Sequence[int], seed: int = 0, batch_size: int = 16,
                         record: bool | Collection[int] = False,
                         **sampler: Any) -> Iterator[tuple[Sequence[int], SamplingResult]]:
        """New images, batch by batch, for more than fit into memory.

        Args:
            indices: Numbers of the wanted images among those of the seed, 0 or more.
            seed: See :meth:`generate`.
            batch_size: See :meth:`generate`.
            record: Keep the state after each step, or after these steps k, for pictures of them.
            **sampler: Options of the sampler.

        Yields:
            The numbers of a batch, and its result.
        """
        check_positive(batch_size=batch_size)
        if len(indices) and min(indices) < 0:
            raise ValueError(f'The number of an image must be at least 0, got {min(indices)}.')
        generator = self.generator(**sampler)
        for start in range(0, len(indices), batch_size):
            batch = indices[start:start + batch_size]
            with self.precision():
                result = generator.generate(batch, seed, record)
            yield batch, result

    def inpaint(self, image: ImageInput, mask: ImageInput, num_samples: int = 1, seed: int = 0,
                prior: ImageInput | None = None, batch_size: int = 16, blend: str = 'soft',
                blend_width: float | None = None, **sampler: Any) -> np.ndarray:
        """Replace a part of an image (paper App. E).

        The image may have any size: it is fitted into the model's image, see
        :class:`Inpainting`, and the results are put back into it at its own size. Where the
        mask and a soft edge around it are not, the results have the pixels of the image.

        Args:
            image: A file, a PIL image or an array.
            mask: The same, white (above 127) where the image is to be replaced; or a bool array.
                A mask of another size must have the image's proportions.
            num_samples: Number of results.
            seed: Any integer.
            prior: A picture of the image's size whose masked part the first step sees, as a
                hint; by default it sees the mean colour of the visible pixels.
            batch_size: Results at a time.
            blend: 'soft': results fade into the image around the mask; 'hard': no pixel outside of
                the mask changes.
            blend_width: Width of the fading, see :class:`Inpainting`.
            **sampler: Options of the sampler. ``rescale`` says at which step it starts.

        Returns:
            (N, H, W, 3) uint8.

        Raises:
            FileNotFoundError: If a file does not exist.
            ValueError: If nothing or everything is masked, sizes do not fit, or an option is out
                of range.
        """
        pixels = read_image(image)
        hint = None if prior is None else read_image(prior)
        height, width = pixels.shape[1:]
        region = read_mask(mask, (height, width))
        return self.edit(pixels, region, num_samples, seed, hint, batch_size, blend, blend_width,
                         **sampler)

    def outpaint(self, image: ImageInput, left: int = 0, top: int = 0, right: int = 0,
                 bottom: int = 0, num_samples: int = 1, seed: int = 0, batch_size: int = 16,
                 **sampler: Any) -> np.ndarray:
        """Continue an image beyond its borders.

        Args:
            image: See :meth:`inpaint`.
            left: Pixels to add on the left.
            top: Pixels to add at the top.
            right: Pixels to add on the right.
            bottom: Pixels to add at the bottom.
            num_samples: See :meth:`inpaint`, also for the rest.
            seed: Any integer.
            batch_size: Results at a time.
            **sampler: Options of the sampler.

        Returns:
            (N, top + H + bottom, left + W + right, 3) uint8.
        """
        larger, mask = extend(read_image(image), left, top, right, bottom)
        return self.edit(larger, mask, num_samples, seed, None, batch_size, **sampler)

    def uncrop(self, image: ImageInput, scale: float = 2., num_samples: int = 1, seed: int = 0,
               batch_size: int = 16, **sampler: Any) -> np.ndarray:
        """Continue an image on every side.

        Args:
            image: See :meth:`inpaint`, also for the rest.
            scale: How many times as long the sides become; above 1, at most 16.
            num_samples: Number of results.
            seed: Any integer.
            batch_size: Results at a time.
            **sampler: Options of the sampler.

        Returns:
            (N, scale H, scale W, 3) uint8.
        """
        pixels = read_image(image)
        height, width = pixels.shape[1:]
        larger, mask = extend(pixels, **uncrop_margins((height, width), scale))
        return self.edit(larger, mask, num_samples, seed, None, batch_size, **sampler)

    @torch.no_grad()
    def reconstruct(self, images: ImagesInput, batch_size: int = 16) -> np.ndarray:
        """Images through the tokenizer and back.

        Args:
            images: A file, an array, a PIL image, a folder, or a list of these, see
                :func:`list_images`; of each image the largest centred part of the model's
                proportions is taken, at the model's size.
            batch_size: Images at a time.

        Returns:
            (N, H, W, 3) uint8, truncated, in the order of the images.
        """
        results = []
        for batch in self._model_images(images, batch_size):
            with without_tf32():
                token_ids = self.networks.tokenize(batch)
            with without_tf32(), self.model.data_preprocessor.tokenizer.running() as tokenizer:
                latents = tokenizer.quantize.lookup(token_ids)
            results.append(to_pixels(self.networks.latent_to_pixel(latents)).numpy())
        return np.concatenate(results)

    @torch.no_grad()
    def extract_features(self, images: ImagesInput, batch_size: int = 16,
                         out_indices: Sequence[int] | None = None,
                         pool: bool = False) -> Tensor | tuple[Tensor, ...]:
        """Features of the encoder, as maps or pooled.

        Args:
            images: See :meth:`reconstruct`.
            batch_size: Images at a time.
            out_indices: Layers of a ViT or stages of a ResNet, see :func:`encoder_outputs`; None:
                the output of the encoder alone.
            pool: Give the mean over all places of each map.

        Returns:
            (N, D, h, w), pooled (N, D), float32 on the CPU, in the order of the images; with
            ``out_indices`` a tuple of one for each of them.

        Raises:
            ValueError: If the model has no encoder of images, or that has no such layer.
        """
        if not hasattr(self.model, 'backbone'):
            raise ValueError(f'A {type(self.model).__name__} has no encoder of images: features '
                             'need the config and the checkpoint of a training of type ADDP.')
        batches = []
        for batch in self._model_images(images, batch_size):
            inputs = self.model.data_preprocessor.normalize(batch)
            with self.precision():
                maps = self.model.extract_feat(inputs)[-1:] if out_indices is None else \
                    encoder_outputs(self.model.backbone, inputs, out_indices)
            batches.append([(m.mean((2, 3)) if pool else m).float().cpu() for m in maps])
        features = tuple(torch.cat(parts) for parts in zip(*batches, strict=True))
        return features[0] if out_indices is None else features

    def __call__(self, inputs: ImagesInput, batch_size: int = 16,
                 out_indices: Sequence[int] | None = None, pool: bool = True,
                 return_vis: bool = False, out_dir: str | Path | None = None
                 ) -> dict[str, list]:
        """Features of images, and pictures of what the tokenizer keeps of them.

        Args:
            inputs: See :meth:`reconstruct`.
            batch_size: Images at a time.
            out_indices: See :meth:`extract_features`.
            pool: Give vectors (D,), not maps (D, h, w).
            return_vis: Make the pictures too.
            out_dir: Folder for ``preds/000000_<name>.npy`` ... (``.npz`` with ``out_indices``) and
                ``vis/000000_<name>.png`` ...

        Returns:
            'predictions': for each image its features, a tensor; a tuple with ``out_indices``.
            'visualization': for each image (H, 2 W, 3) uint8: the image at the model's size, and
            beside it what the tokenizer makes of it; empty unless asked for.

        Raises:
            ValueError: See :meth:`extract_features`; if a file is there already.
        """
        images = list_images(inputs)
        paths = ResultPaths(out_dir, images) if out_dir is not None else None
        features = self.extract_features(images, batch_size, out_indices, pool)
        predictions = list(features) if isinstance(features, Tensor) else \
            list(zip(*features, strict=True))
        pictures = self._beside(images, batch_size) if return_vis or paths else []
        if paths:
            paths.save(predictions, pictures)
        return dict(predictions=predictions, visualization=pictures)

    def _save_pretrained(self, save_directory: Path) -> None:
        if self.config is None:
            raise ValueError('A model that was handed over as it is has no config to save: make '
                             'the inferencer from a config or its file.')
        write_shared(save_directory, self.config, self.model)

    @classmethod
    def _from_pretrained(cls, *, model_id: str, revision: str | None = None,
                         cache_dir: str | Path | None = None, force_download: bool = False,
                         local_files_only: bool = False, token: str | bool | None = None,
                         **options: Any) -> ADDPInferencer:
        """See ``from_pretrained`` of huggingface_hub; ``options`` are those of the class."""
        return cls(folder_of(
            model_id, revision=revision, cache_dir=cache_dir, force_download=force_download,
            local_files_only=local_files_only, token=token), **options)

    def generate_model_card(self, **about: Any) -> ModelCard:
        """The card of this model, see :func:`model_card`."""
        return model_card(self.model, self.weights, **about)

    def generator(self, **sampler: Any) -> ImageGenerator:
        """The model with a sampler of these options."""
        return ImageGenerator(self.networks, sampler)

    def precision(self) -> contextlib.AbstractContextManager:
        """The context in which the model runs in the wanted precision."""
        if self._autocast is None:
            return without_tf32()
        return torch.autocast(self.device.type, dtype=self._autocast)

    def edit(self, image: Tensor, mask: Tensor, num_samples: int = 1, seed: int = 0,
             prior: Tensor | None = None, batch_size: int = 16, blend: str = 'soft',
             blend_width: float | None = None, **sampler: Any) -> np.ndarray:
        """As :meth:`inpaint`, with tensors: ``image`` and ``prior`` (3, H, W) in [0, 1], bool mask.

        Returns:
            (N, H, W, 3) uint8.
        """
        check_positive(num_samples=num_samples, batch_size=batch_size)
        generator, size = self.generator(**sampler), self.networks.image_size
        task = Inpainting(image, mask, size, self.networks.grid_size, prior, blend, blend_width)
        results = []
        for start in range(0, num_samples, batch_size):
            indices = range(start, min(start + batch_size, num_samples))
            with self.precision():
                batch = generator.edit(task.canvas[None], task.token_mask[None], indices, seed)
            results.append(to_pixels(task.blend(batch.images.float().cpu())).numpy())
        return np.concatenate(results)

    def _model_images(self, images: ImagesInput, batch_size: int) -> Iterator[Tensor]:
        """Batches (n, 3, H, W) of the model's size, on its device."""
        check_positive(batch_size=batch_size)
        several = list_images(images)
        for start in self._track(range(0, len(several), batch_size), 'Images'):
            yield torch.stack(self._fitted(several[start:start + batch_size])).to(self.device)

    def _fitted(self, images: Sequence[ImageInput]) -> list[Tensor]:
        return [fit_to_model(read_image(image), self.image_size) for image in images]

    def _beside(self, images: list[ImageInput], batch_size: int) -> list[np.ndarray]:
        """Each image at the model's size, and its reconstruction to the right of it."""
        results = self.reconstruct(images, batch_size)
        originals = (to_pixels(torch.stack(self._fitted([image])))[0].numpy() for image in images)
        return [np.concatenate(pair, axis=1) for pair in zip(originals, results, strict=True)]

    def _track(self, steps: Sequence[int], title: str) -> Iterable[int]:
        """The steps, with a bar on stderr if that is a terminal and there are several."""
        console = Console(stderr=True)
        shown = self.show_progress and console.is_terminal and len(steps) > 1
        return track(steps, title, console=console, disable=not shown)
