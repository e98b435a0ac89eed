from __future__ import annotations

import math

import pytest
import torch

from addp_mm.own_images.quality import (
    judge_autoencoder,
    judge_predictor,
    judge_samples,
    judge_tokenizer,
)
from addp_mm.visualization.curves import RunScalars


def run_of(**held_out: list[float]) -> RunScalars:
    names = dict(kept='reconstruction/variation_kept', tenth='reconstruction/variation_kept_p10',
                 psnr='reconstruction/psnr', found='token/cross_entropy',
                 marginal='token/marginal_entropy', blind='token/cross_entropy_1',
                 explained='hidden_pixels/explained')
    return RunScalars('run', held_out={names[key]: list(enumerate(values))
                                       for key, values in held_out.items()})


@pytest.mark.parametrize(('kept', 'word'), [
    (0.49, 'useless'), (0.5, 'poor'), (0.74, 'poor'), (0.76, 'good'), (math.nan, 'useless')])
def test_a_tokenizer_by_what_it_keeps_and_not_by_psnr(kept: float, word: str):
    verdict = judge_tokenizer(run_of(kept=[0.9, kept], tenth=[0.1, 0.1], psnr=[10., 40.]))
    assert verdict.word == word
    assert str(verdict).startswith(word.capitalize() + ': ')
    assert ('40.0 dB' in verdict.reason) != math.isnan(kept)


@pytest.mark.parametrize(('explained', 'word', 'said'), [
    (0.18, 'good', '18%'), (0.01, 'poor', '1%'), (-0.5, 'poor', ' 0%'),
    (math.nan, 'useless', 'one colour')])
def test_an_autoencoder_by_what_it_knows_of_hidden_patches(explained: float, word: str, said: str):
    verdict = judge_autoencoder(run_of(explained=[0.9, explained]))
    assert verdict.word == word and said in verdict.reason
    assert ('Train for longer' in verdict.reason) == (word == 'poor')


def test_a_predictor_by_what_it_saves_against_frequencies():
    verdict = judge_predictor(run_of(found=[4.2, 2.57], marginal=[4.3, 4.23]))
    assert verdict.word == 'good' and '(39% saved)' in verdict.reason
    assert judge_predictor(run_of(found=[4.2], marginal=[4.23])).word == 'useless'
    assert judge_predictor(run_of(found=[0.], marginal=[0.])).word == 'useless'
    verdict = judge_predictor(run_of(found=[2.5, 2.6], marginal=[4.2, 4.2]))
    assert verdict.word == 'poor' and 'by heart' in verdict.reason


@pytest.mark.parametrize(('blind', 'word'), [(4.30, 'good'), (4.34, 'poor')])
def test_a_predictor_that_begins_blindly(blind: float, word: str):
    verdict = judge_predictor(run_of(found=[3.5], marginal=[4.23], blind=[blind]))
    assert verdict.word == word and ('begin blindly' in verdict.reason) == (word == 'poor')


@pytest.mark.parametrize(('scale', 'word'), [
    (0., 'useless'), (0.4, 'useless'), (0.6, 'poor'), (0.8, 'good'), (1.3, 'good'), (1.5, 'poor')])
def test_empty_samples_are_worth_nothing(scale: float, word: str):
    held_out = torch.rand(4, 3, 8, 8)
    verdict = judge_samples(scale * held_out[:3], held_out[:3])
    assert verdict.word == word
    assert f'{scale**2:.0%} of what differs' in verdict.reason


def test_a_run_without_the_number_is_named():
    with pytest.raises(ValueError, match='run did not measure reconstruction/variation_kept'):
        judge_tokenizer(run_of(psnr=[30.]))
