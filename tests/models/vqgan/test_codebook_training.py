from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.logging import MMLogger
from torch import Tensor, nn

from addp_mm.models.vqgan import Codebook, CodebookTraining, straight_through

NUM_CODES, CODE_DIMS = 6, 3


def codebook_of(rows: Tensor) -> Codebook:
    codebook = Codebook(*rows.shape)
    nn.init.zeros_(codebook.embedding.weight)
    with torch.no_grad():
        codebook.embedding.weight.copy_(rows)
    return codebook


def random_codebook() -> Codebook:
    return codebook_of(torch.randn(NUM_CODES, CODE_DIMS))


def latents_of(points: Tensor) -> Tensor:
    """(P, C) points as the latents (1, C, P, 1) of one image."""
    return points.t()[None, :, :, None].contiguous()


def near(codebook: Codebook, *token_ids: int) -> Tensor:
    """Latents whose nearest codes are the given ones."""
    rows = codebook.embedding.weight.detach()[list(token_ids)]
    return latents_of(rows + 0.01 * torch.randn_like(rows))


def rows_of(codebook: Codebook) -> Tensor:
    return codebook.embedding.weight.detach().clone()


def are_among(rows: Tensor, points: Tensor) -> Tensor:
    """For each row whether it is one of the points."""
    return (rows[:, None] == points[None]).all(dim=2).any(dim=1)


def test_straight_through_takes_the_codes_and_hands_the_gradient_to_the_latents():
    latents = torch.randn(2, CODE_DIMS, 4, 4, requires_grad=True)
    codes = torch.randn(2, CODE_DIMS, 4, 4, requires_grad=True)
    weights = torch.randn(2, CODE_DIMS, 4, 4)
    out = straight_through(latents, codes)
    torch.testing.assert_close(out, codes)
    (weights * out).sum().backward()
    torch.testing.assert_close(latents.grad, weights)
    assert codes.grad is None


def test_forward_gives_the_nearest_codes_with_a_gradient_to_the_codebook():
    codebook = random_codebook()
    training = CodebookTraining(NUM_CODES, CODE_DIMS)
    codes = training(codebook, near(codebook, 4, 1, 1))
    torch.testing.assert_close(codes[0, :, :, 0].t(), codebook.embedding.weight[[4, 1, 1]])
    codes.sum().backward()
    assert codebook.embedding.weight.grad.sum(dim=1).tolist() == [0, 6, 0, 0, 3, 0]


def test_without_averages_and_revival_the_codes_stay():
    codebook = random_codebook()
    before = rows_of(codebook)
    training = CodebookTraining(NUM_CODES, CODE_DIMS)
    for _ in range(5):
        training(codebook, near(codebook, 0, 1))
    torch.testing.assert_close(rows_of(codebook), before)


def test_moving_averages_follow_the_plain_formula():
    decay = 0.7
    codebook = random_codebook()
    training = CodebookTraining(NUM_CODES, CODE_DIMS, ema_decay=decay)
    sizes = [1.] * NUM_CODES
    sums = [row.clone() for row in rows_of(codebook)]
    for _ in range(3):
        points = torch.randn(20, CODE_DIMS)
        rows = rows_of(codebook)
        token_ids = torch.cdist(points, rows).argmin(dim=1).tolist()
        codes = training(codebook, latents_of(points))
        torch.testing.assert_close(codes[0, :, :, 0].t(), rows[token_ids])
        for k in range(NUM_CODES):
            own = [point for point, i in zip(points, token_ids, strict=True) if i == k]
            sizes[k] = decay * sizes[k] + (1 - decay) * len(own)
            sums[k] = decay * sums[k] + (1 - decay) * sum(own, torch.zeros(CODE_DIMS))
        wanted = torch.stack([total / size for total, size in zip(sums, sizes, strict=True)])
        torch.testing.assert_close(rows_of(codebook), wanted)


def test_a_code_that_no_place_takes_stays_finite_under_moving_averages():
    codebook = codebook_of(torch.eye(CODE_DIMS))
    training = CodebookTraining(CODE_DIMS, CODE_DIMS, ema_decay=0.1)
    for _ in range(60):
        training(codebook, near(codebook, 0))
    torch.testing.assert_close(rows_of(codebook)[1:], torch.eye(CODE_DIMS)[1:])


def test_dead_codes_are_revived_from_the_batch_after_that_many_iterations():
    codebook = random_codebook()
    before = rows_of(codebook)
    training = CodebookTraining(NUM_CODES, CODE_DIMS, revive_after=3)
    for _ in range(2):
        training(codebook, near(codebook, 0, 1, 1, 2))
    training(codebook, near(codebook, 0, 1, 1))      # code 2 was taken two iterations ago
    torch.testing.assert_close(rows_of(codebook)[:3], before[:3])
    assert not torch.isclose(rows_of(codebook)[3:], before[3:]).all(dim=1).any()
    revived_at = torch.cdist(rows_of(codebook)[3:], before[:2]).min(dim=1).values
    assert (revived_at < 0.1).all(), 'the batch had places near codes 0 and 1 only'


def test_no_code_is_revived_before_its_time():
    codebook = random_codebook()
    before = rows_of(codebook)
    training = CodebookTraining(NUM_CODES, CODE_DIMS, revive_after=3)
    for _ in range(2):
        training(codebook, near(codebook, 0))
    torch.testing.assert_close(rows_of(codebook), before)


def test_revived_codes_are_different_places_and_are_taken_next():
    codebook = random_codebook()
    points = torch.randn(50, CODE_DIMS) + 20        # all of them nearest to one code
    training = CodebookTraining(NUM_CODES, CODE_DIMS, ema_decay=0.9, revive_after=1)
    training(codebook, latents_of(points))
    revived = are_among(rows_of(codebook), points)
    assert revived.sum() == NUM_CODES - 1
    assert len(rows_of(codebook).unique(dim=0)) == NUM_CODES
    taken = codebook.assign(latents_of(points)).unique().tolist()
    assert set(revived.nonzero().flatten().tolist()) <= set(taken)


def test_a_revived_code_stays_where_it_was_set_under_moving_averages():
    codebook = random_codebook()
    training = CodebookTraining(NUM_CODES, CODE_DIMS, ema_decay=0.99, revive_after=1)
    training(codebook, near(codebook, 0, 0))
    revived = rows_of(codebook)[1:]
    training.revive_after = None
    training(codebook, latents_of(torch.full((1, CODE_DIMS), 50.)))
    taken = codebook.assign(latents_of(torch.full((1, CODE_DIMS), 50.))).item()
    kept = [k for k in range(1, NUM_CODES) if k != taken]
    torch.testing.assert_close(rows_of(codebook)[kept], revived[[k - 1 for k in kept]])


def test_revival_depends_on_the_seed_only():
    rows = torch.randn(NUM_CODES, CODE_DIMS)
    points = torch.randn(30, CODE_DIMS) + 9
    results = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        codebook = codebook_of(rows)
        CodebookTraining(NUM_CODES, CODE_DIMS, revive_after=1)(codebook, latents_of(points))
        results.append(rows_of(codebook))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_codes_start_from_the_data_once():
    codebook = random_codebook()
    points = torch.randn(40, CODE_DIMS) + 5
    training = CodebookTraining(NUM_CODES, CODE_DIMS, init_from_data=True)
    training(codebook, latents_of(points))
    first = rows_of(codebook)
    assert are_among(first, points).all()
    resumed = CodebookTraining(NUM_CODES, CODE_DIMS, init_from_data=True)
    resumed.load_state_dict(training.state_dict())
    resumed(codebook, latents_of(points))
    torch.testing.assert_close(rows_of(codebook), first)


def test_codes_of_a_file_stay():
    file = {f'tokenizer.{k}': v for k, v in random_codebook().state_dict().items()}
    codebook = nn.ModuleDict(dict(tokenizer=Codebook(NUM_CODES, CODE_DIMS)))
    codebook.load_state_dict(file)
    training = CodebookTraining(NUM_CODES, CODE_DIMS, init_from_data=True, ema_decay=0.99)
    training(codebook['tokenizer'], torch.full((1, CODE_DIMS, 4, 1), 9.))
    moved = rows_of(codebook['tokenizer']) != file['tokenizer.embedding.weight']
    assert moved.all(dim=1).sum() == 1, 'the one that was taken'
    with pytest.raises(RuntimeError, match='size mismatch'):
        (other := Codebook(NUM_CODES, CODE_DIMS)).load_state_dict(
            Codebook(NUM_CODES + 1, CODE_DIMS).state_dict())
    assert not other.is_loaded


def test_fewer_places_than_codes_are_taken_more_than_once():
    codebook = random_codebook()
    points = torch.randn(2, CODE_DIMS)
    CodebookTraining(NUM_CODES, CODE_DIMS, init_from_data=True)(codebook, latents_of(points))
    assert {tuple(row.tolist()) for row in rows_of(codebook)} == {
        tuple(row.tolist()) for row in points}


def test_use_over_the_window():
    codebook = random_codebook()
    training = CodebookTraining(NUM_CODES, CODE_DIMS, window=4)
    training(codebook, near(codebook, 0, 0, 1, 1))
    use = training.use()
    assert use['codebook_perplexity'].item() == pytest.approx(2)
    assert use['dead_codes'].item() == NUM_CODES - 2
    for _ in range(4):
        training(codebook, near(codebook, 5))
    assert training.use()['dead_codes'].item() == NUM_CODES - 1
    faded = 2 * 0.75**4     # of each of the first two codes, beside the fifth's later uses
    probs = torch.tensor([faded, faded, sum(0.75**i for i in range(4))])
    entropy = torch.distributions.Categorical(probs).entropy()
    torch.testing.assert_close(training.use()['codebook_perplexity'], entropy.exp())


def test_a_collapsed_codebook_is_warned_of_with_its_use(tmp_path: Path):
    log = tmp_path / 'log.txt'
    MMLogger.get_instance('collapse', log_file=str(log))
    codebook = codebook_of(torch.randn(50, CODE_DIMS))
    training = CodebookTraining(50, CODE_DIMS, window=3)
    for _ in range(2):
        training(codebook, near(codebook, 7))
    assert 'collapses' not in log.read_text()
    training(codebook, near(codebook, 7))
    assert 'used 2.0% of its 50 codes' in log.read_text()
    assert 'revive_after' in log.read_text()


def test_a_codebook_in_use_is_not_warned_of(tmp_path: Path):
    log = tmp_path / 'log.txt'
    MMLogger.get_instance('healthy', log_file=str(log))
    codebook = codebook_of(torch.randn(50, CODE_DIMS))
    training = CodebookTraining(50, CODE_DIMS, window=1)
    training(codebook, near(codebook, 1, 2, 3))
    assert log.read_text() == ''


@pytest.mark.parametrize('wrong', [dict(ema_decay=1.), dict(revive_after=0), dict(window=0)])
def test_wrong_numbers_are_named(wrong: dict):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        CodebookTraining(NUM_CODES, CODE_DIMS, **wrong)


def test_latents_that_are_not_finite_move_nothing():
    codebook = Codebook(4, 2)
    training = CodebookTraining(4, 2, ema_decay=0.9, revive_after=1, init_from_data=True)
    training(codebook, torch.randn(2, 2, 3, 3))
    before = {**codebook.state_dict(), **training.state_dict()}
    before = {name: tensor.clone() for name, tensor in before.items()}
    latents = torch.randn(2, 2, 3, 3)
    latents[0, 0, 0, 0] = float('nan')
    assert training(codebook, latents).shape == latents.shape
    after = {**codebook.state_dict(), **training.state_dict()}
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_encoding_what_is_not_finite_is_an_error():
    latents = torch.randn(1, 2, 3, 3)
    latents[0, 0, 0, 0] = float('inf')
    with pytest.raises(FloatingPointError, match='latents of the tokenizer are not finite'):
        Codebook(4, 2).assign(latents)
