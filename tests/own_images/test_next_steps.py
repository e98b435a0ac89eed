"""What is said after the trainings has the paths at hand."""
from __future__ import annotations

from pathlib import Path

import pytest

from addp_mm.own_images.next_steps import next_commands
from addp_mm.own_images.trainings import Stage


@pytest.mark.parametrize('names, labels', [
    (('Masks', ), 'Masks'), (('LABELS', 'instances'), 'instances'), (('others', ), 'LABELS')])
def test_folders_of_labels_are_found_by_any_case(names: tuple[str, ...], labels: str,
                                                 tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name in ('images', *names):
        (tmp_path / name).mkdir()
    config = tmp_path / 'addp.py'
    config.write_text('train_cfg = dict(max_epochs=2)')
    lines = next_commands(Path('tools'), tmp_path / 'images', tmp_path / 'out',
                          [Stage('addp', config, tmp_path / 'addp')], 2.)
    assert f'tools/prepare_annotations.py images {labels} --pretrained out ' in lines[-1]
