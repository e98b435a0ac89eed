"""Made-up pictures whose label map an encoder shows or hides."""
from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from torch import nn

import addp_mm  # noqa: F401  (registers)
from addp_mm.studies.frozen_tokens import (
    IGNORED,
    FrozenEncoder,
    cut_tiles,
    find_pictures,
    variation_shares,
)
from addp_mm.studies.linear_patches import LinearFit, LinearPatches, draw_pictures
from tests.helpers.tools import run_tool

ARCH = dict(embed_dims=32, num_layers=1, num_heads=2, feedforward_channels=32)
FIT = LinearFit(iterations=60, batch_size=64, lr=0.1)


class Pixels(nn.Module):
    """An encoder whose tokens are the pixels of their patches of 4 x 4."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor]:
        return (nn.functional.pixel_unshuffle(images, 4), )


class Nothing(Pixels):
    """An encoder that gives the same for every place."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor]:
        return (torch.zeros(len(images), 8, images.shape[2] // 4, images.shape[3] // 4), )


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of 20 x 16 pixels whose bright pixels are of class 1."""
    root = tmp_path_factory.mktemp('pictures')
    rng = np.random.default_rng(0)
    for part in ('training', 'validation'):
        for kind in ('images', 'annotations'):
            (root / kind / part).mkdir(parents=True)
        for i in range(6):
            labels = (rng.random((20, 16)) < 0.4).astype(np.uint8)
            image = np.repeat(np.where(labels, 200, 50)[..., None], 3, axis=2).astype(np.uint8)
            cv2.imwrite(str(root / 'images' / part / f'{i}.png'), image)
            cv2.imwrite(str(root / 'annotations' / part / f'{i}.png'), labels)
    return root


def measure(root: Path, encoder: nn.Module, **kwargs) -> dict:
    pictures = [find_pictures(root, part) for part in ('training', 'validation')]
    frozen = FrozenEncoder(encoder, size=8)
    settings = dict(num_labelled=3, seeds=(0, 1)) | kwargs
    return LinearPatches(frozen, FIT).measure(*pictures, **settings)


def test_what_the_tokens_show_is_read_and_what_they_hide_is_not(root: Path):
    seen, hidden = measure(root, Pixels()), measure(root, Nothing())
    assert len(seen['miou']) == 2
    assert seen['mean'] > 95
    assert hidden['mean'] == pytest.approx(30, abs=3)       # background everywhere: 60 % and none


def test_the_same_seed_draws_and_scores_the_same(root: Path):
    assert measure(root, Pixels()) == measure(root, Pixels())
    pictures = find_pictures(root, 'training')
    assert draw_pictures(pictures, 3, 0) == draw_pictures(pictures, 6, 0)[:3]
    assert draw_pictures(pictures, 3, 0) != draw_pictures(pictures, 3, 1)


def test_what_reaches_over_the_border_is_ignored():
    image, labels = np.full((10, 8, 3), 7, np.uint8), np.ones((10, 8), np.uint8)
    tiles, maps = cut_tiles(image, labels, 8)
    assert tiles.shape == (2, 3, 8, 8) and (tiles == 7).all()
    assert (maps[0] == 1).all()
    assert (maps[1, :2] == 1).all() and (maps[1, 2:] == IGNORED).all()


def test_tiles_and_labels_stay_together():
    labels = np.arange(16 * 24, dtype=np.uint16).reshape(16, 24).astype(np.uint8)
    image = np.repeat(labels[..., None], 3, axis=2)
    tiles, maps = cut_tiles(image, labels, 8)
    assert torch.equal(tiles[:, 0], maps)
    assert torch.equal(maps[4], torch.from_numpy(labels[8:, 8:16].copy()))


@pytest.mark.parametrize('shape, largest', [((5, 1, 2), 'tiles'), ((1, 7, 2), 'places'),
                                            ((5, 7, 2), 'within')])
def test_variation_is_found_where_it_lies(shape: tuple[int, ...], largest: str):
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    shares = variation_shares(noise.expand(5, 7, 2))
    assert sum(shares.values()) == pytest.approx(1)
    assert max(shares, key=shares.get) == largest
    if largest != 'within':
        assert shares[largest] == pytest.approx(1)


def config(**backbone) -> Config:
    return Config(dict(model=dict(backbone=dict(
        type='ADDPViT', arch=ARCH, patch_size=4, **backbone))))


def test_an_encoder_of_a_config_keeps_its_weights(root: Path, tmp_path: Path):
    encoder = FrozenEncoder.from_config(config(), size=8)
    weights = {f'backbone.{k}': v for k, v in encoder.encoder.state_dict().items()}
    torch.save(dict(state_dict=weights), tmp_path / 'addp.pth')
    again = FrozenEncoder.from_config(config(), str(tmp_path / 'addp.pth'), size=8)
    picture = find_pictures(root, 'training')[0]
    read = encoder.read(picture)
    assert read.tokens.shape == (6, 4, 32) and read.labels.shape == (6, 4, 16)
    torch.testing.assert_close(again.read(picture).tokens, read.tokens)
    random = FrozenEncoder.from_config(config(), size=8)
    torch.testing.assert_close(random.read(picture).tokens, read.tokens)     # always the same
    with pytest.raises(ValueError, match='does not fit the ADDPViT'):
        FrozenEncoder.from_config(config(in_channels=1), str(tmp_path / 'addp.pth'), size=8)


@pytest.mark.parametrize('cfg, message', [
    (Config(dict(model=dict(type='X'))), 'has no model.backbone'),
    (config(), 'name it as --size')])
def test_a_config_that_does_not_tell_enough_is_named(cfg: Config, message: str):
    with pytest.raises(ValueError, match=message):
        FrozenEncoder.from_config(cfg)


def test_patches_that_do_not_divide_the_tile_are_named(root: Path):
    with pytest.raises(ValueError, match='whose h divides them'):
        FrozenEncoder(nn.Sequential(nn.Conv2d(3, 2, 4, 3), nn.Flatten(0, -1)), 8).read(
            find_pictures(root, 'training')[0])


def test_labels_that_cannot_be_right_are_named(root: Path, tmp_path: Path):
    picture = find_pictures(root, 'training')[0]
    small, colours = tmp_path / 'small.png', tmp_path / 'colours.png'
    cv2.imwrite(str(small), np.zeros((5, 5), np.uint8))
    cv2.imwrite(str(colours), np.zeros((20, 16, 3), np.uint8))
    broken = tmp_path / 'broken.png'
    broken.write_bytes(b'no picture')
    for path, message in ((small, 'its picture'), (colours, 'one channel of 8 bits'),
                          (broken, 'not a readable picture')):
        with pytest.raises(ValueError, match=message):
            type(picture)(picture.image, path).read()


def test_no_labelled_picture_is_named(root: Path, tmp_path: Path):
    with pytest.raises(ValueError, match='choose 1 to 6'):
        measure(root, Pixels(), num_labelled=7)
    with pytest.raises(FileNotFoundError, match='There is no folder'):
        find_pictures(tmp_path, 'training')
    for kind in ('images', 'annotations'):
        (tmp_path / kind / 'training').mkdir(parents=True)
    with pytest.raises(ValueError, match='nothing is labelled'):
        find_pictures(tmp_path, 'training')


@pytest.mark.parametrize('values', [(IGNORED, IGNORED), (0, IGNORED), (0, 0)])
def test_label_maps_of_fewer_than_two_classes_are_named(root: Path, tmp_path: Path,
                                                        values: tuple[int, int]):
    picture = find_pictures(root, 'training')[0]
    classes = cv2.imread(str(picture.labels), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(tmp_path / 'map.png'), np.array(values, np.uint8)[classes])
    single = type(picture)(picture.image, tmp_path / 'map.png')
    probe = LinearPatches(FrozenEncoder(Pixels(), 8), FIT)
    for part, pictures in (('training', ([single], [picture])),
                           ('validation', ([picture], [single]))):
        with pytest.raises(ValueError, match=f'{part} label maps have .* 255 means'):
            probe.measure(*pictures, 1)


def test_pictures_and_maps_without_a_partner_are_counted(root: Path, tmp_path: Path,
                                                         caplog: pytest.LogCaptureFixture):
    shutil.copytree(root, tmp_path, dirs_exist_ok=True)
    for i in range(5):
        name = tmp_path / 'annotations' / 'validation' / f'{i}.png'
        name.rename(name.with_stem(f'other_{i}'))
    MMLogger.get_current_instance().handlers.append(caplog.handler)
    assert len(find_pictures(tmp_path, 'validation')) == 1
    assert '5 of 6 files in' in caplog.text and 'other_0.png' in caplog.text
    caplog.clear()
    find_pictures(tmp_path, 'training')
    assert not caplog.text


@pytest.mark.parametrize('size', [0, -64])
def test_a_size_that_is_no_size_is_refused(size: int):
    with pytest.raises(ValueError, match='--size must be a positive number'):
        FrozenEncoder.from_config(config(img_size=8), size=size)


def test_the_tool_replaces_no_record_of_other_settings(root: Path, tmp_path: Path,
                                                       capsys: pytest.CaptureFixture):
    config(img_size=8).dump(tmp_path / 'config.py')
    out = tmp_path / 'record.json'
    words = tmp_path / 'config.py', '--data', root, '--labelled', 1, '--out', out, '--seeds'
    assert run_tool('evaluate_linear_patches', *words, 0) == 0
    record = out.read_text()
    assert run_tool('evaluate_linear_patches', *words, 0) == 0
    assert run_tool('evaluate_linear_patches', *words, 1) == 2
    assert 'made with other settings (seeds [0], now [1])' in capsys.readouterr().err
    assert out.read_text() == record
