"""Memory that is kept need not be asked for again: counted in page faults of processes."""
from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from addp_mm.apis import freed_memory

PROGRAM = """
import resource, runpy
keep_freed_memory = runpy.run_path({path!r})['keep_freed_memory']
kept = {kept}
def fill():
    for size in (24_000_000, 20_000_000, 28_000_000):
        bytearray(b'x') * size
fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
fill()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
needs_glibc = pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='needs glibc')


def page_faults(kept: str, **environment: str) -> tuple[str, int]:
    """What a process that frees three times 20 to 28 MB and asks for them again prints."""
    program = PROGRAM.format(kept=kept, path=freed_memory.__file__)
    done = subprocess.run([sys.executable, '-c', program], check=True, text=True,
                          capture_output=True, env=os.environ | environment)
    answer, faults = done.stdout.split()[-2:]
    return answer, int(faults)


@needs_glibc
def test_freed_memory_is_taken_again():
    answer, faults = page_faults('keep_freed_memory()')
    assert answer == 'True'
    _, without = page_faults('None', MALLOC_MMAP_THRESHOLD_='131072')
    pages = 72_000_000 / 4096
    assert faults < 0.1 * pages < 0.5 * pages < without


@needs_glibc
@pytest.mark.parametrize('setting', [dict(MALLOC_MMAP_THRESHOLD_='131072'),
                                     dict(GLIBC_TUNABLES='glibc.malloc.hugetlb=0')])
def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch, setting: dict):
    for name, value in setting.items():
        monkeypatch.setenv(name, value)
    assert not freed_memory.keep_freed_memory()
