from __future__ import annotations

from pathlib import Path

import pytest
import torch

from addp_mm.models.mage import TokenDataPreprocessor
from tests.helpers.tiny import save_tiny_weights, tiny_batch, tiny_tokenizer_cfg


@pytest.fixture
def preprocessor(tmp_path: Path) -> TokenDataPreprocessor:
    checkpoint = save_tiny_weights(tmp_path)['tokenizer']
    return TokenDataPreprocessor(dict(model=tiny_tokenizer_cfg(), checkpoint=checkpoint))


@pytest.mark.parametrize('training', [True, False])
def test_inputs_are_the_tokens_of_the_rgb_images(preprocessor: TokenDataPreprocessor,
                                                 training: bool):
    batch = tiny_batch(3) | dict(data_samples=[1, 2, 3])
    out = preprocessor(batch, training)
    with preprocessor.tokenizer.running() as tokenizer:
        wanted, _ = tokenizer.encode(batch['inputs'][:, [2, 1, 0]].float() / 255)
    assert torch.equal(out['inputs'], wanted) and wanted.shape == (3, 4, 4)
    assert out['data_samples'] == [1, 2, 3]


def test_floats_are_pixels_too(preprocessor: TokenDataPreprocessor):
    batch = tiny_batch(3)
    wanted = preprocessor(batch)['inputs']
    assert torch.equal(preprocessor(dict(inputs=batch['inputs'].float()))['inputs'], wanted)
    dark = torch.randint(0, 3, (1, 3, 32, 32))
    assert torch.equal(preprocessor(dict(inputs=dark.float()))['inputs'],
                       preprocessor(dict(inputs=dark.byte()))['inputs'])


@pytest.mark.parametrize(('mean', 'std'), [(127.5, 127.5), (0, 255), (116, 57), (116, 1)])
def test_a_normalize_in_the_pipeline_is_refused(preprocessor: TokenDataPreprocessor, mean: float,
                                                std: float):
    with pytest.raises(ValueError, match=r'Expected pictures of RGB in \[0, 1\].*Normalize'):
        preprocessor(dict(inputs=(tiny_batch()['inputs'].float() - mean) / std))


def test_an_image_of_another_size(preprocessor: TokenDataPreprocessor):
    with pytest.raises(ValueError, match=r'Expected images of \(32, 32\) pixels'):
        preprocessor(tiny_batch(1, (24, 32)))
