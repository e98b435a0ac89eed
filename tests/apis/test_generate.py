"""Files of images as a program asks for them; the tools' tests ask by command lines."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from PIL import Image

from addp_mm.apis.generate import build_inferencer, draw, edit, generate
from addp_mm.apis.inferencer import ADDPInferencer
from tests.helpers.tiny import build_model, tiny_addp_cfg


@pytest.fixture(scope='module')
def inferencer(tmp_path_factory: pytest.TempPathFactory) -> ADDPInferencer:
    folder = tmp_path_factory.mktemp('model')
    cfg = tiny_addp_cfg(folder)
    Config(dict(model=cfg, default_scope='mmpretrain')).dump(folder / 'addp.py')
    torch.save(dict(state_dict=build_model(cfg).state_dict()), folder / 'addp.pth')
    return build_inferencer(folder / 'addp.py', folder / 'addp.pth', device='cpu')


def test_what_is_missing_is_made_and_told(inferencer: ADDPInferencer, tmp_path: Path) -> None:
    told = []
    place = generate(inferencer, tmp_path / 'out', 5, seed=1, batch_size=2, num_steps=2,
                     on_images=lambda done, total: told.append((done, total)))
    assert told == [(2, 5), (4, 5), (5, 5)]
    files = sorted(place.glob('*.png'))
    found = np.stack([np.asarray(Image.open(file)) for file in files])
    assert np.array_equal(found, inferencer.generate(5, seed=1, num_steps=2))
    files[3].unlink()
    told.clear()
    generate(inferencer, place, 5, seed=1, num_steps=2,
             on_images=lambda done, total: told.append((done, total)))
    assert told == [(1, 1)] and np.array_equal(np.asarray(Image.open(files[3])), found[3])
    with pytest.raises(ValueError, match='another run: seed 1, now 2'):
        generate(inferencer, place, 5, seed=2, num_steps=2)


@pytest.mark.parametrize('length', [0, 5, 100])
def test_an_image_that_was_cut_off_is_made_again(
        inferencer: ADDPInferencer, tmp_path: Path, length: int,
        caplog: pytest.LogCaptureFixture) -> None:
    place = generate(inferencer, tmp_path / 'out', 3, num_steps=2)
    whole = {file: file.read_bytes() for file in place.glob('*.png')}
    (place / '000001.png').write_bytes(whole[place / '000001.png'][:length])
    told = []
    MMLogger.get_current_instance().handlers.append(caplog.handler)
    generate(inferencer, place, 2, num_steps=2, on_images=lambda *counts: told.append(counts))
    assert told == [(1, 1)] and all(file.read_bytes() == whole[file] for file in whole)
    assert f'2 images are in {place}, which holds 1 more of this run' in caplog.text


def test_images_of_another_model_of_the_same_weights(tmp_path: Path) -> None:
    cfg = tiny_addp_cfg(tmp_path)
    Config(dict(model=cfg, default_scope='mmpretrain')).dump(tmp_path / 'addp.py')
    torch.save(dict(state_dict=build_model(cfg).state_dict()), tmp_path / 'addp.pth')
    files = tmp_path / 'addp.py', tmp_path / 'addp.pth'
    place = generate(build_inferencer(*files, device='cpu'), tmp_path / 'out', 1, num_steps=2)
    other = build_inferencer(*files, device='cpu', cfg_options={
        'model.neck.num_heads': cfg['neck']['num_heads'] * 2})
    with pytest.raises(ValueError, match=r'another run: model\.neck.num_heads \d, now \d'):
        generate(other, place, 2, num_steps=2)


def test_a_seed_that_is_no_number_leaves_no_folder(inferencer: ADDPInferencer,
                                                   tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='seed must be a whole number, got 1.9'):
        generate(inferencer, tmp_path / 'out', 1, seed=1.9)
    assert not (tmp_path / 'out').exists()


def test_a_model_without_a_file_is_no_run(tmp_path: Path) -> None:
    inferencer = ADDPInferencer(build_model(tiny_addp_cfg(tmp_path)), device='cpu')
    with pytest.raises(ValueError, match='expected an inferencer with `weights`'):
        generate(inferencer, tmp_path / 'out', 1)
    assert not (tmp_path / 'out').exists()


def test_rescale_says_nothing_about_new_images(inferencer: ADDPInferencer, tmp_path: Path) -> None:
    place = generate(inferencer, tmp_path / 'out', 1, num_steps=2)
    before = (place / '000000.png').read_bytes()
    generate(inferencer, place, 1, num_steps=2, rescale=True)       # is no other run
    generate(inferencer, place, 1, num_steps=2, rescale=True, overwrite=True)
    assert (place / '000000.png').read_bytes() == before


def test_edits_and_pictures(inferencer: ADDPInferencer, tmp_path: Path) -> None:
    photo = tmp_path / 'photo.png'
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)).save(photo)
    paths = edit(inferencer, photo, tmp_path / 'edits', outpaint=(0, 0, 16, 0), num_samples=2,
                 num_steps=2)
    assert [path.name for path in paths] == ['photo_0.png', 'photo_1.png', 'photo_edits.png']
    assert Image.open(paths[0]).size == (48, 32)
    pictures = draw(inferencer, tmp_path / 'pictures', num_images=2, num_steps=2)
    assert [path.stem for path in pictures] == ['samples', 'steps', 'embeddings']
    assert all(path.is_file() for path in pictures)


def test_an_edit_must_be_named(inferencer: ADDPInferencer, tmp_path: Path) -> None:
    photo = tmp_path / 'photo.png'
    Image.new('RGB', (32, 32)).save(photo)
    with pytest.raises(ValueError, match='expected mask, outpaint or uncrop'):
        edit(inferencer, photo, tmp_path / 'edits')
