"""The card of a model, from the record of its run."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from addp_mm.apis.model_card import model_card
from addp_mm.apis.publish import read_scores

META = dict(epoch=2, iter=20, seed=7, num_processes=2,
            cfg='train_dataloader = dict(batch_size=8, dataset=dict(type="ImageFolder", '
                'data_root="/home/me/flowers"))\noptim_wrapper = dict(accumulative_counts=3)\n',
            frozen_weights={'data_preprocessor.tokenizer': 64 * 'a'})


def test_the_record_of_a_run(tmp_path: Path) -> None:
    torch.save(dict(state_dict={}, meta=META), tmp_path / 'epoch_2.pth')
    log = tmp_path / '20260101_000000' / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    lines = [dict(loss=3., epoch=1, iter=10, step=10), {'token/cross_entropy': 3.25, 'step': 1},
             dict(loss=2., epoch=2, iter=20, step=20), {'token/cross_entropy': 2.5, 'step': 2},
             dict(loss=1., epoch=3, iter=30, step=30), {'token/cross_entropy': 9., 'step': 3}]
    log.write_text(''.join(f'{json.dumps(line)}\n' for line in lines))
    card = model_card(nn.Linear(2, 3), tmp_path / 'epoch_2.pth', 'me/flowers', 'mit', dict(FID=4.5))
    for row in ('| data | ImageFolder of `flowers` |', '| epochs | 2 |', '| iterations | 20 |',
                '| seed | 7 |', '| batch | 8 x 2 processes x 3 |', f'SHA-256 {64 * "a"} |',
                '| FID | 4.5 | measured by itself |',
                '| token/cross_entropy | 2.5 | validation during the training |',
                "from_pretrained('me/flowers')"):
        assert row in card.text, row
    assert card.data.license == 'mit' and card.data.library_name == 'addp_mm'
    assert '/home/me' not in card.content


def test_weights_that_say_nothing() -> None:
    text = model_card(nn.Linear(2, 3)).text
    assert 'says nothing of the training' in text and 'None were measured' in text
    assert 'Not chosen yet' in text


def test_read_scores(tmp_path: Path) -> None:
    (tmp_path / 'a.json').write_text('{"scores": {"fid": 3.5}, "notes": []}')
    (tmp_path / 'b.json').write_text('{"psnr": 20}')
    assert read_scores([tmp_path / 'a.json', tmp_path / 'b.json']) == dict(fid=3.5, psnr=20.)
    (tmp_path / 'b.json').write_text('{"psnr": "good"}')
    with pytest.raises(ValueError, match='b.json holds no scores'):
        read_scores([tmp_path / 'b.json'])
