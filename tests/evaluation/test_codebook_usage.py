from __future__ import annotations

import math

import pytest
import torch

from addp_mm.evaluation import CodebookUsage


def evaluate(*token_ids: list[list[int]], num_codes: int = 8) -> dict[str, float]:
    metric = CodebookUsage()
    for ids in token_ids:
        metric.process({}, [dict(token_ids=torch.tensor(ids), num_codes=num_codes)])
    return metric.evaluate(size=len(token_ids))


def test_use_over_all_images():
    results = evaluate([[0, 0], [1, 1]], [[0, 0], [5, 5]])
    entropy = -(0.5 * math.log(0.5) + 2 * 0.25 * math.log(0.25))
    assert results['codebook/perplexity'] == pytest.approx(math.exp(entropy))
    assert results['codebook/dead_codes'] == 5
    assert results['codebook/in_use'] == pytest.approx(37.5)


def test_even_use_of_all_codes():
    results = evaluate([[0, 1], [2, 3]], num_codes=4)
    assert results == {'codebook/perplexity': pytest.approx(4), 'codebook/dead_codes': 0,
                       'codebook/in_use': 100}


def test_one_code_alone():
    results = evaluate([[3, 3]])
    assert results['codebook/perplexity'] == pytest.approx(1)
    assert results['codebook/dead_codes'] == 7
