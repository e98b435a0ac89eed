"""One line of the OpenMMLab libraries is left out of what they print, and nothing else."""
from __future__ import annotations

import logging
import sys

from addp_mm.quiet_import import LINE, without_onedl_line


def test_the_line_goes_and_nothing_else(capsys):
    with without_onedl_line():
        print('before')
        print(LINE)
        print(f'{LINE}. Skipping OneDL datasets.')
        print('after\n')
        handler = logging.StreamHandler(sys.stdout)
        assert sys.stdout.encoding and not sys.stdout.isatty()
    print(LINE)
    logging.getLogger('quiet').addHandler(handler)
    logging.getLogger('quiet').warning('later')
    logging.getLogger('quiet').removeHandler(handler)
    assert capsys.readouterr().out == f'before\nafter\n\n{LINE}\nlater\n'
