"""run_resumable: one exit code and one message for each way a tool may stop."""
from __future__ import annotations

import pytest

from addp_mm.apis.resumable_tool import StageError, run_resumable


@pytest.mark.parametrize(('error', 'code', 'message'), [
    (KeyboardInterrupt(), 130, 'Interrupted. Run the same command again to go on.\n'),
    (StageError('[1/3] failed.\nSee a.log.'), 1, '[1/3] failed.\nSee a.log.\n'),
    (ValueError('expected a,\n  got b'), 2, 'error: expected a, got b\n'),
    (FileNotFoundError('no such file'), 2, 'error: no such file\n'),
    (ImportError('no package'), 2, 'error: no package\n'),
])
def test_what_stops_a_tool_is_said(error: BaseException, code: int, message: str,
                                   capsys: pytest.CaptureFixture):
    def main() -> None:
        raise error

    assert run_resumable(main) == code
    assert capsys.readouterr().err == message


def test_what_no_user_can_mend_is_raised():
    with pytest.raises(ZeroDivisionError):
        run_resumable(lambda: 1 / 0)


def test_a_tool_that_ends(capsys: pytest.CaptureFixture):
    assert run_resumable(lambda: 'report') == 0
    assert capsys.readouterr().err == ''
