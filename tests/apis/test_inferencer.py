"""The inferencer on a real model at tiny size."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from addp_mm.apis import ADDPInferencer
from addp_mm.checkpoints.weight_files import save_weights
from tests.helpers.tiny import build_model, tiny_addp_cfg, tiny_mage_training_cfg

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(0, 256, (50, 40, 3), dtype=np.uint8)
MASK = np.zeros((50, 40), bool)
MASK[25:, :20] = True


@pytest.fixture(scope='module')
def addp_cfg(tmp_path_factory: pytest.TempPathFactory) -> dict:
    return tiny_addp_cfg(tmp_path_factory.mktemp('addp'))


@pytest.fixture(scope='module')
def inferencer(addp_cfg: dict) -> ADDPInferencer:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ADDPInferencer(build_model(addp_cfg), device='cpu')


def test_from_files(addp_cfg: dict, inferencer: ADDPInferencer, tmp_path: Path) -> None:
    Config(dict(model=addp_cfg, default_scope='mmpretrain')).dump(tmp_path / 'addp.py')
    save_weights(inferencer.model.state_dict(), tmp_path / 'addp.pth')
    loaded = ADDPInferencer(tmp_path / 'addp.py', tmp_path / 'addp.pth', 'cpu')
    assert not loaded.model.training
    assert np.array_equal(loaded.generate(2, seed=1), inferencer.generate(2, seed=1))


def test_generate(inferencer: ADDPInferencer) -> None:
    images = inferencer.generate(7, seed=1, batch_size=3, num_steps=4)
    assert images.shape == (7, 32, 32, 3) and images.dtype == np.uint8
    assert np.array_equal(inferencer.generate(2, seed=1, first_index=5, num_steps=4), images[5:])
    assert not np.array_equal(inferencer.generate(7, seed=2, num_steps=4), images)
    assert not np.array_equal(inferencer.generate(7, seed=1, num_steps=5), images)


@pytest.mark.parametrize('call, options, message', [
    ('generate', dict(seed=1.9), 'seed must be a whole number, got 1.9'),
    ('generate', dict(seed=None), 'seed must be a whole number, got None'),
    ('generate', dict(num_images=2.5), 'num_images must be a whole number, got 2.5'),
    ('generate', dict(batch_size=1.5), 'batch_size must be a whole number, got 1.5'),
    ('generate', dict(first_index=0.5), 'first_index must be a whole number, got 0.5'),
    ('generate', dict(num_steps=2.0), 'num_steps must be a whole number, got 2.0'),
    ('generate', dict(num_steps=True), 'num_steps must be a whole number, got True'),
    ('generate', dict(dynamic='False'), "dynamic must be True or False, got 'False'"),
    ('generate', dict(rescale='no'), "rescale must be True or False, got 'no'"),
    ('outpaint', dict(image=PHOTO, right=0.5), 'right must be a whole number, got 0.5'),
    ('inpaint', dict(image=PHOTO, mask=MASK.tolist()), 'Expected a picture.*got a list'),
    ('inpaint', dict(image=[PHOTO], mask=MASK), 'Expected a picture.*got a list'),
    ('reconstruct', dict(images=torch.zeros(3, 32, 32)), 'Expected a picture.*got a Tensor'),
    ('extract_features', dict(images=[PHOTO, 3]), 'Expected a picture.*got a int'),
])
def test_what_is_no_number_or_picture(inferencer: ADDPInferencer, call: str, options: dict,
                                      message: str) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(inferencer, call)(**options)


def test_numbers_of_other_libraries(inferencer: ADDPInferencer) -> None:
    wanted = inferencer.generate(2, 3, num_steps=4, dynamic=False)
    found = inferencer.generate(np.int64(2), np.uint8(3), num_steps=np.int32(4), dynamic=np.False_)
    assert np.array_equal(found, wanted)


def test_numbers_of_images_are_whole(inferencer: ADDPInferencer) -> None:
    with pytest.raises(ValueError, match=r'index must be a whole number, got 0\.5'):
        list(inferencer.generate_batches([0.5]))


def test_generate_batches(inferencer: ADDPInferencer) -> None:
    batches = list(inferencer.generate_batches([8, 3, 5], seed=1, batch_size=2, record=True,
                                               num_steps=4))
    assert [list(indices) for indices, _ in batches] == [[8, 3], [5]]
    assert all(len(result.steps) == 4 for _, result in batches)
    alone = inferencer.generate(1, seed=1, first_index=5, num_steps=4)
    assert np.array_equal((batches[1][1].images[0] * 255).byte().permute(1, 2, 0), alone[0])
    assert list(inferencer.generate_batches([])) == []


def test_precisions(addp_cfg: dict, inferencer: ADDPInferencer) -> None:
    wanted = inferencer.generate(2).astype(float)
    for dtype, tolerance in (('float64', 1), ('bfloat16', 255)):
        model = build_model(addp_cfg)
        model.load_state_dict(inferencer.model.state_dict())
        other = ADDPInferencer(model, device='cpu', dtype=dtype)
        assert abs(other.generate(2) - wanted).max() <= tolerance
        assert other.inpaint(PHOTO, MASK).shape == (1, 50, 40, 3)
        assert other.reconstruct(PHOTO).shape == (1, 32, 32, 3)
        assert other.extract_features(PHOTO).dtype == torch.float32


def test_inpaint(inferencer: ADDPInferencer) -> None:
    results = inferencer.inpaint(PHOTO, MASK, num_samples=3, seed=1)
    assert results.shape == (3, 50, 40, 3) and results.dtype == np.uint8
    kept = np.zeros_like(MASK)
    kept[:6] = True                             # further away than the soft edge
    assert (results[:, kept] == PHOTO[kept]).all()
    assert (results[:, MASK] != PHOTO[MASK]).mean() > 0.9
    assert (results[0] != results[1]).any()
    again = inferencer.inpaint(PHOTO, MASK, num_samples=3, seed=1, batch_size=1)
    assert np.array_equal(again, results)


def test_hard_blending(inferencer: ADDPInferencer) -> None:
    result = inferencer.inpaint(PHOTO, MASK, blend='hard')[0]
    assert np.array_equal(result[~MASK], PHOTO[~MASK])
    assert (result[MASK] != PHOTO[MASK]).mean() > 0.9


def test_masked_pixels_do_not_leak(inferencer: ADDPInferencer) -> None:
    changed = np.where(MASK[..., None], 255 - PHOTO, PHOTO)
    for options in (dict(), dict(rescale=True)):
        results = [inferencer.inpaint(image, MASK, 2, **options) for image in (PHOTO, changed)]
        assert np.array_equal(*results)
    visible = np.where(MASK[..., None], PHOTO, 255 - PHOTO)
    assert not np.array_equal(inferencer.inpaint(visible, MASK, 2)[:, MASK], results[0][:, MASK])


def test_prior(inferencer: ADDPInferencer, tmp_path: Path) -> None:
    prior = Image.fromarray(255 - PHOTO)
    with_prior = inferencer.inpaint(PHOTO, MASK, prior=prior)
    assert not np.array_equal(with_prior, inferencer.inpaint(PHOTO, MASK))
    other = np.where(MASK[..., None], 255 - PHOTO, 0)     # its visible part is not read
    assert np.array_equal(with_prior, inferencer.inpaint(PHOTO, MASK, prior=other.astype(np.uint8)))


def test_outpaint_and_uncrop(inferencer: ADDPInferencer) -> None:
    larger = inferencer.outpaint(PHOTO, right=40, num_samples=2)
    assert larger.shape == (2, 50, 80, 3)
    assert np.array_equal(larger[:, 10:40, :5], PHOTO[None, 10:40, :5].repeat(2, axis=0))
    around = inferencer.uncrop(PHOTO, scale=2)
    assert around.shape == (1, 100, 80, 3)
    canvas, mask = np.zeros((100, 80, 3), np.uint8), np.ones((100, 80), bool)
    canvas[25:75, 20:60], mask[25:75, 20:60] = PHOTO, False
    assert np.array_equal(around, inferencer.inpaint(canvas, mask))


def test_reconstruct(inferencer: ADDPInferencer) -> None:
    image = RNG.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    found = inferencer.reconstruct([image, PHOTO, image], batch_size=2)
    assert found.shape == (3, 32, 32, 3) and np.array_equal(found[0], found[2])
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
    with inferencer.model.data_preprocessor.tokenizer.running() as tokenizer:
        decoded = tokenizer.decode(tokenizer.encode(pixels)[1]).clamp(0, 1)
    assert np.array_equal((decoded[0] * 255).byte().permute(1, 2, 0), found[0])


def test_no_image(inferencer: ADDPInferencer) -> None:
    with pytest.raises(ValueError, match='at least one image, got none'):
        inferencer.reconstruct([])


def test_extract_features(inferencer: ADDPInferencer) -> None:
    image = RNG.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    features = inferencer.extract_features([image, PHOTO, image], batch_size=2)
    assert features.shape == (3, 32, 4, 4) and torch.equal(features[0], features[2])
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
    inputs = inferencer.model.data_preprocessor.normalize(pixels)
    assert torch.allclose(features[0], inferencer.model.extract_feat(inputs)[-1][0], atol=1e-5)


def test_pooled_features(inferencer: ADDPInferencer) -> None:
    maps = inferencer.extract_features(PHOTO)
    assert torch.allclose(inferencer.extract_features(PHOTO, pool=True), maps.mean((2, 3)))


def test_call(inferencer: ADDPInferencer, tmp_path: Path) -> None:
    (tmp_path / 'photos' / 'below').mkdir(parents=True)
    for name, pixels in (('b.png', PHOTO), ('below/c.bmp', 255 - PHOTO), ('a.jpg', PHOTO // 2)):
        Image.fromarray(pixels).save(tmp_path / 'photos' / name)
    (tmp_path / 'photos' / 'notes.txt').write_text('no image')
    found = inferencer(tmp_path / 'photos', batch_size=2, out_dir=tmp_path / 'out')
    listed = [tmp_path / 'photos' / name for name in ('a.jpg', 'b.png', 'below/c.bmp')]
    wanted = inferencer.extract_features(listed, pool=True)
    assert torch.allclose(torch.stack(found['predictions']), wanted, atol=1e-6)
    assert [p.name for p in sorted((tmp_path / 'out').rglob('*.*'))] == [
        '000000_a.npy', '000001_b.npy', '000002_c.npy', '000000_a.png', '000001_b.png',
        '000002_c.png']
    assert np.array_equal(np.load(tmp_path / 'out/preds/000001_b.npy'), found['predictions'][1])
    picture = np.asarray(Image.open(tmp_path / 'out/vis/000001_b.png'))
    assert picture.shape == (32, 64, 3) and np.array_equal(picture, found['visualization'][1])
    assert np.array_equal(picture[:, 32:], inferencer.reconstruct(PHOTO)[0])
    with pytest.raises(ValueError, match='holds results already'):
        inferencer(PHOTO, out_dir=tmp_path / 'out')


def test_call_with_layers(inferencer: ADDPInferencer, tmp_path: Path) -> None:
    found = inferencer([PHOTO, 255 - PHOTO], out_indices=(1, 0), pool=False,
                       out_dir=tmp_path)['predictions']
    assert len(found) == 2 and [m.shape for m in found[0]] == [(32, 4, 4), (32, 4, 4)]
    assert torch.allclose(found[0][0], inferencer.extract_features(PHOTO)[0], atol=1e-5)
    with np.load(tmp_path / 'preds/000000.npz') as arrays:
        assert np.array_equal(arrays['arr_1'], found[0][1])


def test_an_empty_folder(inferencer: ADDPInferencer, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='There is no image in'):
        inferencer(tmp_path)


def test_token_predictors_generate_and_edit(tmp_path: Path) -> None:
    inferencer = ADDPInferencer(build_model(tiny_mage_training_cfg(tmp_path)), device='cpu')
    images = inferencer.generate(3, rounding='floor', final='hard')
    assert np.array_equal(images, inferencer.generate(3, batch_size=1, rounding='floor'))
    assert inferencer.inpaint(PHOTO, MASK).shape == (1, 50, 40, 3)
    with pytest.raises(ValueError, match='MAGETraining has no encoder of images'):
        inferencer.extract_features(PHOTO)


@pytest.mark.parametrize('options, message', [
    (dict(num_images=0), 'num_images must be at least 1, got 0'),
    (dict(batch_size=0), 'batch_size must be at least 1, got 0'),
    (dict(first_index=-1), 'number of an image must be at least 0, got -1'),
    (dict(num_steps=17), 'number of tokens of an image, 16, got 17'),
    (dict(top_p=0), 'top_p must lie in'),
])
def test_bad_numbers(inferencer: ADDPInferencer, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        inferencer.generate(**options)


def test_bad_masks(inferencer: ADDPInferencer) -> None:
    for mask, message in ((MASK & False, 'black'), (MASK | True, 'white'),
                          (MASK[:30], '30 x 40 pixels, the image 50 x 40')):
        with pytest.raises(ValueError, match=message):
            inferencer.inpaint(PHOTO, mask)


def test_bad_device(addp_cfg: dict) -> None:
    with pytest.raises(ValueError, match='The device sofa cannot be used'):
        ADDPInferencer(build_model(addp_cfg), device='sofa')
