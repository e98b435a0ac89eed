"""The bar is for somebody who watches, and one process shows it."""
from __future__ import annotations

import pytest

from addp_mm.cli import progress
from addp_mm.cli.progress import progress_bar


def shown(capsys: pytest.CaptureFixture) -> str:
    with progress_bar('Counting') as bar:
        for done in range(5):
            bar(done, 4)
    return capsys.readouterr().err


def test_a_log_file_gets_no_bar(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv('FORCE_COLOR', raising=False)
    assert shown(capsys) == ''


def test_a_terminal_shows_how_far_it_is(capsys: pytest.CaptureFixture,
                                        monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv('FORCE_COLOR', '1')
    monkeypatch.setenv('COLUMNS', '100')
    text = shown(capsys)
    assert 'Counting' in text and '4/4' in text


def test_the_other_processes_show_none(capsys: pytest.CaptureFixture,
                                       monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv('FORCE_COLOR', '1')
    monkeypatch.setattr(progress, 'is_main_process', lambda: False)
    assert 'Counting' not in shown(capsys)
