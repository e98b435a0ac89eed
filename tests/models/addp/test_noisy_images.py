from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.logging import MMLogger
from mmpretrain.models.utils import SelfSupDataPreprocessor
from torch import Tensor

from addp_mm.checkpoints.weight_files import load_weights
from addp_mm.models.addp import ADDPDataPreprocessor
from addp_mm.registry import MODELS
from tests.helpers.tiny import (
    NUM_CODES,
    save_tiny_weights,
    tiny_addp_cfg,
    tiny_batch,
    tiny_token_predictor_cfg,
    tiny_tokenizer_cfg,
)

MEAN, STD = (torch.tensor(v).view(3, 1, 1) for v in (
    (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)))


def build(tmp_path: Path, **overrides) -> ADDPDataPreprocessor:
    image_size = overrides.pop('image_size', 32)
    cfg = tiny_addp_cfg(tmp_path, image_size, data_preprocessor=overrides)
    return MODELS.build(cfg['data_preprocessor'])


@pytest.fixture
def preprocessor(tmp_path: Path) -> ADDPDataPreprocessor:
    return build(tmp_path)


@pytest.fixture
def without_files() -> ADDPDataPreprocessor:
    """Names files that do not exist."""
    return ADDPDataPreprocessor(
        tokenizer=dict(model=tiny_tokenizer_cfg(), checkpoint='no/tokenizer.pth'),
        token_predictor=dict(model=tiny_token_predictor_cfg(), checkpoint='no/predictor.pth'))


@pytest.fixture
def images() -> Tensor:
    return tiny_batch(3)['inputs'].float() / 255


def by_code(sample, preprocessor: ADDPDataPreprocessor) -> Tensor:
    """The reconstruction of a sample's tokens."""
    return preprocessor.tokenizer.description.decode_ids(sample.token_ids)


def test_eval_only_normalises_and_needs_no_files(without_files: ADDPDataPreprocessor):
    batch = tiny_batch() | dict(data_samples=['a', 'b'])
    out = without_files(batch, training=False)
    rgb = batch['inputs'][:, [2, 1, 0]].float()
    torch.testing.assert_close(out['inputs'], (rgb - MEAN) / STD, atol=1e-5, rtol=1e-5)
    assert out['data_samples'] == ['a', 'b']
    assert without_files(batch)['inputs'].shape == (2, 3, 32, 32), 'training is not the default'


def test_eval_is_mmpretrains_normalisation(without_files: ADDPDataPreprocessor):
    theirs = SelfSupDataPreprocessor(MEAN.flatten().tolist(), STD.flatten().tolist(), to_rgb=True)
    batch = tiny_batch()
    torch.testing.assert_close(without_files(batch)['inputs'], theirs(batch)['inputs'],
                               atol=1e-5, rtol=1e-5)


def test_any_image_size_in_eval(without_files: ADDPDataPreprocessor):
    assert without_files(dict(inputs=torch.zeros(1, 3, 20, 28)))['inputs'].shape[2:] == (20, 28)


def test_a_list_of_images_is_a_batch(preprocessor: ADDPDataPreprocessor):
    batch = tiny_batch(3)
    for training in (False, True):
        torch.manual_seed(0)
        wanted = preprocessor(batch, training)['inputs']
        for kind in (list, tuple):
            torch.manual_seed(0)
            out = preprocessor(dict(inputs=kind(batch['inputs'])), training)['inputs']
            assert torch.equal(out, wanted)


def test_colours(tmp_path: Path):
    batch = tiny_batch()
    swaps, keeps = build(tmp_path), build(tmp_path, to_rgb=False)
    bgr, data_samples = keeps.to_images(batch)
    rgb, _ = swaps.to_images(batch)
    assert torch.equal(rgb, bgr[:, [2, 1, 0]]) and data_samples is None
    torch.testing.assert_close(bgr, batch['inputs'].float() / 255)
    assert 0 <= float(rgb.min()) < float(rgb.max()) <= 1
    flipped = dict(inputs=batch['inputs'].flip(1))
    torch.testing.assert_close(swaps(batch)['inputs'], keeps(flipped)['inputs'])
    with swaps.tokenizer.running() as tokenizer:
        wanted, _ = tokenizer.encode(rgb)
    for part, data in ((swaps, batch), (keeps, flipped)):
        ids = part(data, training=True)['data_samples'].token_ids
        assert torch.equal(ids, wanted), 'the tokenizer must see RGB'


def test_own_mean_and_std(tmp_path: Path):
    preprocessor = build(tmp_path, mean=[0., 0., 0.], std=[255., 255., 255.])
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(preprocessor.normalize(images), images)


@pytest.mark.parametrize('mean, std', [
    ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]), ([0.5], [0.5]), ([0.] * 3, [255., 255., 0.]),
    ([0.] * 3, [-1.] * 3)])
def test_mean_and_std_of_pixels_of_0_to_1_are_refused(tmp_path: Path, mean: list[float],
                                                      std: list[float]):
    with pytest.raises(ValueError, match='must be those of pixels of 0 to 255, got .*by 255'):
        build(tmp_path, mean=mean, std=std)
    build(tmp_path, mean=[0.] * 3, std=[1.] * 3)


def test_training_gives_a_noisy_sample(preprocessor: ADDPDataPreprocessor):
    batch = tiny_batch(3)
    out = preprocessor(batch, training=True)
    sample = out['data_samples']
    assert out['inputs'].shape == (3, 3, 32, 32) and out['inputs'].dtype == torch.float32
    assert sample.token_ids.shape == sample.mask.shape == (3, 4, 4)
    assert sample.target_probs.shape == (3, NUM_CODES, 4, 4)
    assert sample.mask.dtype == torch.bool and sample.token_ids.dtype == torch.int64
    counts = (~sample.mask).sum(dim=(1, 2))
    assert counts.tolist() == [sample.num_reliable] * 3
    for tensor in (out['inputs'], sample.target_probs):
        assert not tensor.requires_grad

    images, _ = preprocessor.to_images(batch)
    with preprocessor.tokenizer.running() as tokenizer:
        assert torch.equal(sample.token_ids, tokenizer.encode(images)[0])
    with preprocessor.token_predictor.running() as predictor:
        wanted = predictor.predict_probs(sample.token_ids, sample.mask)
    torch.testing.assert_close(sample.target_probs, wanted)


def test_noisy_images_mix_codes_and_distributions(tmp_path: Path, images: Tensor):
    preprocessor = build(tmp_path, diffusion=dict(type='DiffusionProcess', condition='z_t'))
    noisy, sample = preprocessor.diffuse(images, ratio=0.6)
    with preprocessor.tokenizer.running() as tokenizer:
        filling = tokenizer.quantize.expected(sample.target_probs)
        latents = torch.where(sample.mask[:, None], filling,
                              tokenizer.quantize.lookup(sample.token_ids))
        wanted = preprocessor.normalize(tokenizer.decode(latents).clamp(0, 1))
    torch.testing.assert_close(noisy, wanted)


def test_noisy_images_are_clamped(preprocessor: ADDPDataPreprocessor, images: Tensor):
    preprocessor.load_frozen()
    preprocessor.tokenizer.description.decoder.conv_out.weight *= 30.
    noisy, sample = preprocessor.diffuse(images)
    assert float(by_code(sample, preprocessor).max()) > 1.5
    pixels = (noisy * STD + MEAN) / 255
    assert float(pixels.min()) == pytest.approx(0, abs=1e-5)
    assert float(pixels.max()) == pytest.approx(1, abs=1e-5)


def test_a_given_ratio_and_generator_repeat_everything(tmp_path: Path, images: Tensor):
    preprocessor = build(tmp_path, diffusion=dict(type='DiffusionProcess', mapping='sampling'))
    state = torch.get_rng_state()
    runs = [preprocessor.diffuse(images, 0.7, torch.Generator().manual_seed(seed))
            for seed in (1, 1, 2)]
    assert torch.equal(torch.get_rng_state(), state), 'the global generator was used'
    assert torch.equal(runs[0][0], runs[1][0]) and torch.equal(runs[0][1].mask, runs[1][1].mask)
    assert not torch.equal(runs[0][1].mask, runs[2][1].mask)
    assert all(sample.num_reliable == 4 for _, sample in runs)            # 16 - ceil(11.2)


@pytest.mark.parametrize('ratio', [0.55, 1.0])
def test_ratio_sets_the_mask(preprocessor: ADDPDataPreprocessor, images: Tensor, ratio: float):
    noisy, sample = preprocessor.diffuse(images, ratio)
    assert int(sample.mask[0].sum()) == {0.55: 9, 1.0: 16}[ratio]
    if ratio == 1.0:
        torch.testing.assert_close(noisy[0], noisy[1], msg='a fully masked image leaks')


def test_seeded_training_batches_repeat(preprocessor: ADDPDataPreprocessor):
    batch, outs = tiny_batch(), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outs.append(preprocessor(batch, training=True))
    assert torch.equal(outs[0]['inputs'], outs[1]['inputs'])
    assert not torch.equal(outs[0]['data_samples'].mask, outs[2]['data_samples'].mask)


def test_one_ratio_for_each_image(tmp_path: Path):
    preprocessor = build(tmp_path, diffusion=dict(type='DiffusionProcess', per_image=True))
    sample = preprocessor(tiny_batch(8), training=True)['data_samples']
    assert list(sample.num_reliable) == (~sample.mask).flatten(1).sum(dim=1).tolist()
    assert len(set(sample.num_reliable)) > 2


def test_a_prepared_batch_is_returned_as_it_is(preprocessor: ADDPDataPreprocessor):
    prepared = preprocessor(tiny_batch(), training=True)
    assert preprocessor(prepared, training=True) is prepared


def test_grids_that_are_not_square(tmp_path: Path):
    preprocessor = build(tmp_path, image_size=(32, 48))
    out = preprocessor(tiny_batch(2, (32, 48)), training=True)
    assert out['inputs'].shape == (2, 3, 32, 48)
    assert out['data_samples'].mask.shape == (2, 4, 6)
    assert (preprocessor.image_size, preprocessor.grid_size) == ((32, 48), (4, 6))
    assert preprocessor.num_codes == NUM_CODES


def test_under_autocast_tokens_are_the_same(tmp_path: Path, images: Tensor):
    preprocessor = build(tmp_path)
    outs = []
    for enabled in (False, True):
        with torch.autocast('cpu', dtype=torch.bfloat16, enabled=enabled):
            outs.append(preprocessor.diffuse(images, 0.7, torch.Generator().manual_seed(1)))
    assert torch.equal(outs[0][0], outs[1][0])
    assert torch.equal(outs[0][1].token_ids, outs[1][1].token_ids)
    assert torch.equal(outs[0][1].target_probs, outs[1][1].target_probs)


def test_frozen_parts_in_half_precision(tmp_path: Path, images: Tensor):
    preprocessor = build(tmp_path, tokenizer=dict(dtype='bfloat16'),
                         token_predictor=dict(dtype='bfloat16'))
    noisy, sample = preprocessor.diffuse(images, 0.7, torch.Generator().manual_seed(1))
    assert noisy.dtype == sample.target_probs.dtype == torch.float32
    exact, _ = build(tmp_path).diffuse(images, 0.7, torch.Generator().manual_seed(1))
    assert not torch.equal(noisy, exact)


def test_dropout_of_the_token_predictor(tmp_path: Path, images: Tensor):
    preprocessor = build(tmp_path, token_predictor=dict(dropout=True))

    def targets() -> Tensor:
        return preprocessor.diffuse(images, 0.7, torch.Generator().manual_seed(1))[1].target_probs

    assert not torch.allclose(targets(), targets())
    preprocessor.eval()
    assert torch.equal(targets(), targets())


def test_an_image_of_another_size(preprocessor: ADDPDataPreprocessor):
    with pytest.raises(ValueError, match=r'\(32, 32\) pixels .*got \(32, 40\).*crop and'):
        preprocessor(tiny_batch(2, (32, 40)), training=True)


def test_missing_files_stop_at_once(without_files: ADDPDataPreprocessor):
    with pytest.raises(FileNotFoundError, match='no/tokenizer.pth'):
        without_files.load_frozen()
    with pytest.raises(FileNotFoundError, match='no/tokenizer.pth'):
        without_files(tiny_batch(), training=True)


def test_load_frozen_reads_both(preprocessor: ADDPDataPreprocessor):
    preprocessor.load_frozen()
    for part in (preprocessor.tokenizer, preprocessor.token_predictor):
        assert not any(p.is_meta for p in part.description.parameters())


def test_a_predictor_for_another_tokenizer(tmp_path: Path):
    for wrong in (dict(num_codes=NUM_CODES + 1), dict(grid_size=(4, 5))):
        with pytest.raises(ValueError, match=rf'(?s)token predictor is made for .* the tokenizer '
                                             rf'gives {NUM_CODES} codes on \(4, 4\)'):
            build(tmp_path, token_predictor=dict(model=wrong))


def test_a_codebook_of_another_size(tmp_path: Path):
    paths = save_tiny_weights(tmp_path / 'other', num_codes=NUM_CODES + 8)
    preprocessor = build(tmp_path, tokenizer=dict(checkpoint=paths['tokenizer']))
    with pytest.raises(ValueError, match=r'(?s)does not fit the VQGAN .*quantize.embedding'):
        preprocessor.load_frozen()


def test_a_predictor_of_another_tokenizer_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    warnings: list[str] = []
    monkeypatch.setattr(MMLogger, 'warning', lambda self, text: warnings.append(text))
    digest = build(tmp_path).tokenizer.sha256
    for used, count in ((digest, 0), ('0123', 1)):
        preprocessor = build(tmp_path)
        path = preprocessor.token_predictor.checkpoint
        meta = dict(frozen_weights={'data_preprocessor.tokenizer': used})
        torch.save(dict(state_dict=load_weights(path), meta=meta), path)
        preprocessor.load_frozen()
        assert len(warnings) == count
    assert warnings[0].startswith(f'{path} was trained with another tokenizer file than')


def test_it_trains_nothing(preprocessor: ADDPDataPreprocessor):
    preprocessor.load_frozen()
    assert not list(preprocessor.parameters()) and not preprocessor.state_dict()
