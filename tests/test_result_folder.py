"""Results are made once, by one process at a time, and never taken for those of other settings."""
from __future__ import annotations

from pathlib import Path

import pytest

from addp_mm.result_folder import ResultFolder, other_settings, try_lock


def fails() -> dict:
    raise AssertionError('made a second time')


def test_a_result_is_made_once_and_keeps_its_inputs(tmp_path: Path) -> None:
    results = ResultFolder(tmp_path / 'out', dict(seed=0))
    assert results.make('a/x', lambda: dict(score=1.5), dict(lr=0.1)) == dict(lr=0.1, score=1.5)
    again = ResultFolder(tmp_path / 'out', dict(seed=0))
    assert again.make('a/x', fails, dict(lr=0.1)) == dict(lr=0.1, score=1.5)
    assert again.file('a/x').is_file()
    with pytest.raises(ValueError, match=r'x.json was made with other settings \(lr 0.1, now 0.2'):
        again.make('a/x', fails, dict(lr=0.2))


def test_what_earlier_results_do_not_note_is_not_compared(tmp_path: Path) -> None:
    results = ResultFolder(tmp_path)
    results.make('earlier', lambda: dict(score=1.5), dict(lr=0.1))
    assert results.make('earlier', fails, dict(lr=0.1), dict(hash='a')) == dict(lr=0.1, score=1.5)
    made = results.make('x', lambda: dict(score=2.5), dict(lr=0.1), dict(hash='a'))
    assert made == dict(lr=0.1, hash='a', score=2.5)
    assert results.make('x', fails, dict(lr=0.1), dict(hash='a')) == made
    with pytest.raises(ValueError, match=r"made with other settings \(hash 'a', now 'b'\)"):
        results.make('x', fails, dict(lr=0.1), dict(hash='b'))


def test_records_in_the_order_of_their_names(tmp_path: Path) -> None:
    results = ResultFolder(tmp_path, dict(seed=0))
    for name in ('b', 'a', 'part/c'):
        results.make(name, lambda name=name: dict(name=name))
    assert results.records() == [dict(name='a'), dict(name='b')]
    assert results.records('part/*') == [dict(name='part/c')]


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    results = ResultFolder(tmp_path, {})
    with pytest.raises(ZeroDivisionError):
        results.make('a', lambda: dict(score=1 / 0))
    assert results.records() == [] and results.make('a', lambda: {}) == {}


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    results = ResultFolder(tmp_path, {})
    results.file('a').write_text('{"score":')
    with pytest.raises(ValueError, match='a.json is no whole JSON file.*remove it'):
        results.make('a', fails)


@pytest.mark.parametrize(('content', 'kind'), [('[1]', 'list'), ('3', 'int'), ('null', 'NoneType')])
def test_a_file_of_something_else_is_named(tmp_path: Path, content: str, kind: str) -> None:
    path = tmp_path / 'settings.json'
    path.write_text(content)
    with pytest.raises(ValueError, match=f'Expected a dict in .*settings.json, got a {kind}'):
        other_settings(path, dict(seed=0))


def test_another_process_has_it(tmp_path: Path) -> None:
    results = ResultFolder(tmp_path, {})
    with try_lock(tmp_path / '.a.lock') as is_ours:
        assert is_ours
        assert results.make('a', fails) is None
    assert results.make('a', lambda: dict(score=1)) == dict(score=1)


def test_other_settings_are_refused(tmp_path: Path) -> None:
    ResultFolder(tmp_path, dict(seed=0, path=Path('x')))
    ResultFolder(tmp_path, dict(seed=0, path=Path('x')))
    with pytest.raises(ValueError, match=r'other settings \(seed 0, now 1; size None, now 3;'):
        ResultFolder(tmp_path, dict(seed=1, size=3))
    assert other_settings(tmp_path / 'settings.json', dict(path='x')) == ''


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / 'photo.jpg').touch()
    with pytest.raises(ValueError, match='holds other files'):
        ResultFolder(tmp_path, {})
    assert [path.name for path in tmp_path.iterdir()] == ['photo.jpg']

