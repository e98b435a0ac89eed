from __future__ import annotations

import platform
import re
from pathlib import Path

import pytest

from addp_mm.models.layers import cpu_has_bfloat16

CPUINFO = Path('/proc/cpuinfo')


@pytest.mark.skipif(not CPUINFO.exists() or platform.machine() != 'x86_64',
                    reason='needs the list of an x86 processor\'s instructions')
def test_it_is_what_the_system_says():
    instructions = re.search(r'flags\s*: (.*)', CPUINFO.read_text()).group(1).split()
    assert cpu_has_bfloat16() == bool({'avx512_bf16', 'amx_bf16'} & set(instructions))
