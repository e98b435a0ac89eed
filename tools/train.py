"""Train a model: ``python tools/train.py CONFIG``, with the flags of OpenMMLab's training tools."""
from __future__ import annotations

import sys

from addp_mm.cli.run import run
from addp_mm.cli.train import main

if __name__ == '__main__':
    sys.exit(run(main))
