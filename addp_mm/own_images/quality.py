"""Whether a trained stage is worth building on."""
from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ..visualization.curves import RunScalars

# Shares of the variation within held-out images that their reconstructions keep, in the median.
USELESS_BELOW, GOOD_FROM = 0.5, 0.75
# Of the entropy of the tokens' frequencies, what a prediction saves at least to be one.
MIN_SAVED = 0.02
# Of what differs within hidden patches, what a prediction explains at least.
MIN_EXPLAINED = 0.02
# A held-out score so much above its best is worse: images are learned by heart, or the first step
# of generation is blind.
MAX_RISE = 1.02
# Of the variance within held-out images, what generated ones have.
USELESS_VARIANCE, GOOD_VARIANCE = 0.25, (0.5, 2.)


@dataclass(frozen=True)
class Verdict:
    """What the last held-out numbers of a stage say.

    Attributes:
        word: 'good', 'poor' or 'useless'.
        reason: The numbers in a sentence.
    """

    word: str
    reason: str

    def __str__(self) -> str:
        return f'{self.word.capitalize()}: {self.reason}'


def judge_tokenizer(run: RunScalars) -> Verdict:
    """By the share of the variation that reconstructions keep; PSNR passes a black picture.

    Raises:
        ValueError: If the run did not measure it.
    """
    kept = _last(run, 'reconstruction/variation_kept')
    tenth = _last(run, 'reconstruction/variation_kept_p10')
    psnr = run.held_out.get('reconstruction/psnr', [(0, math.nan)])[-1][1]
    if math.isnan(kept):
        return Verdict('useless', 'all held-out crops show one colour.')
    word = 'useless' if kept < USELESS_BELOW else 'poor' if kept < GOOD_FROM else 'good'
    return Verdict(word, f'reconstructions keep {kept:.0%} of the variation within held-out images '
                         f'(median; {tenth:.0%} in the worst tenth; PSNR {psnr:.1f} dB).')


def judge_predictor(run: RunScalars) -> Verdict:
    """By what is saved against a guess by the frequency of the tokens alone.

    Raises:
        ValueError: If the run did not measure it.
    """
    found, marginal = _last(run, 'token/cross_entropy'), _last(run, 'token/marginal_entropy')
    best = min(value for _, value in run.held_out['token/cross_entropy'])
    saved = 1 - found / marginal if marginal else 0.
    reason = (f'{found:.2f} nats per masked held-out token, where their frequencies alone give '
              f'{marginal:.2f} ({saved:.0%} saved).')
    if saved < MIN_SAVED:
        return Verdict('useless', reason)
    if found > MAX_RISE * best:
        return Verdict('poor', f'{reason} It was {best:.2f} before: the images are learned by '
                               'heart. Train for fewer epochs, or with more images.')
    blind = _last(run, 'token/cross_entropy_1') if 'token/cross_entropy_1' in run.held_out else 0.
    if blind > MAX_RISE * marginal:     # a guess by frequency reaches the marginal at best
        return Verdict('poor', f'{reason} Where nothing is known yet, at the first step of '
                               f'generation, it has {blind:.2f}, worse than the frequencies: '
                               'generated images begin blindly. Train for longer.')
    return Verdict('good', reason)


def judge_autoencoder(run: RunScalars) -> Verdict:
    """By the share of what differs within hidden patches that is predicted.

    Raises:
        ValueError: If the run did not measure it.
    """
    explained = _last(run, 'hidden_pixels/explained')
    if math.isnan(explained):
        return Verdict('useless', 'all held-out crops show one colour.')
    reason = (f'it predicts {max(explained, 0.):.0%} of what differs within hidden patches of '
              'held-out images.')
    if explained < MIN_EXPLAINED:
        return Verdict('poor', f'{reason} Train for longer.')
    return Verdict('good', reason)


def judge_samples(samples: Tensor, held_out: Tensor) -> Verdict:
    """By how much differs within generated images, against held-out ones.

    Args:
        samples: (N, 3, H, W) in [0, 1].
        held_out: (M, 3, H, W) in [0, 1].
    """
    share = variance_share(samples, held_out)
    reason = f'within them differs {share:.0%} of what differs within held-out images (variance).'
    if share < USELESS_VARIANCE:
        return Verdict('useless', f'{reason} Most are nearly empty: train for longer.')
    low, high = GOOD_VARIANCE
    return Verdict('good' if low <= share <= high else 'poor', reason)


def variance_share(samples: Tensor, images: Tensor) -> float:
    """The variance within some images over that within others, both (N, 3, H, W).

    It is nan where each of the others shows one colour.
    """
    found, real = (float(part.var(dim=(2, 3)).mean()) for part in (samples, images))
    return found / real if real else math.nan


def _last(run: RunScalars, key: str) -> float:
    if key not in run.held_out:
        raise ValueError(f'{run.name} did not measure {key}: its config was written by hand or by '
                         'an earlier version. Add the metric to val_evaluator, or start anew.')
    return run.held_out[key][-1][1]
