from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from addp_mm.apis.output_folder import save_image
from addp_mm.studies.ablations.report import ablation_tables, write_ablation_report

TARGET, MAPPING = 'model.head.loss.target', 'model.data_preprocessor.diffusion.mapping'


def make_record(name: str, accuracy: list[float] | None = None, **change: object) -> dict:
    """As ``Ablations`` writes it; ``change`` has a key, its default and its new value."""
    changes = {change['key']: change['new']} if change else {}
    defaults = {change['key']: change['old']} if change else {}
    generation = dict(
        scores=dict(fid=12.345), networks=dict(fid=dict(standard=False, name='small')),
        notes=['Not Inception.'], generated=dict(image_size=[4, 6]))
    return dict(
        name=name, table=name.partition('_')[0], is_default=name == 'default', changes=changes,
        defaults=defaults, config='a.py', generation=generation, accuracy=accuracy,
        seconds={'pre-train': 90., 'generate': 3.})


@pytest.fixture
def records() -> list[dict]:
    return [
        make_record('map_argmax', [60., 63.], key=MAPPING, old='weighted_sum', new='argmax'),
        make_record('loss_hard', [50., 53.], key=TARGET, old=None, new='hard'),
        make_record('default', [70., 71.]),
        make_record('loss_both', [40., 41.], key=TARGET, old=None, new='both'),
    ]


def test_the_default_stands_in_every_table(records: list[dict]) -> None:
    tables = ablation_tables(records)
    assert {name: [row['row'] for row in rows] for name, rows in tables.items()} == {
        'map': ['default', 'map_argmax'], 'loss': ['default', 'loss_hard', 'loss_both']}
    assert [row['diffusion.mapping'] for row in tables['map']] == ['weighted_sum', 'argmax']
    assert [row['loss.target'] for row in tables['loss']] == ['-', 'hard', 'both']
    assert tables['map'][1] == {
        'row': 'map_argmax', 'diffusion.mapping': 'argmax', 'FID-like (small)': 12.345,
        'accuracy, %': '61.5 ± 2.1', 'pre-train, min': 1.5, 'generate, min': 0.05}


def test_without_other_rows_or_fine_tuning() -> None:
    tables = ablation_tables([make_record('default')])
    assert list(tables) == ['default'] and 'accuracy, %' not in tables['default'][0]
    tables = ablation_tables([make_record('single', key=TARGET, old='soft', new='hard')])
    assert [row['row'] for row in tables['single']] == ['single']


def test_written_files(records: list[dict], tmp_path: Path) -> None:
    for level, record in enumerate(records):
        folder = tmp_path / 'rows' / record['name'] / 'generation'
        folder.mkdir(parents=True)
        save_image(np.full((4, 3 * 6, 3), 60 * level, dtype=np.uint8), folder / 'samples.png')
    path = write_ablation_report(records, tmp_path)
    text = path.read_text()
    assert text.count('| default |') == 2 and text.count('Not Inception.') == 1
    assert '| loss_hard | hard | 12.35 | 51.5 ± 2.1 |' in text
    assert 'mean of 2 fine-tunings' in text and '(ablations.png)' in text
    content = json.loads((tmp_path / 'ablations.json').read_text())
    assert content['rows'][0]['name'] == 'default' and set(content['tables']) == {'map', 'loss'}
    picture = np.asarray(Image.open(tmp_path / 'ablations.png'))
    levels = [picture[row, -1, 0] for row in range(10, picture.shape[0], picture.shape[0] // 4)]
    assert levels == [120, 180, 60, 0]      # default, loss_both, loss_hard, map_argmax
