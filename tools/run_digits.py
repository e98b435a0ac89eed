"""The small pipeline: tokenizer, token predictor and ADDP on handwritten digits, on a CPU."""
from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

from mmengine.logging import MMLogger

from addp_mm.apis.model_source import find_shipped
from addp_mm.cli.arguments import Options
from addp_mm.cli.run import run
from addp_mm.datasets.digits import write_digits
from addp_mm.own_images.pictures import write_generated, write_pictures
from addp_mm.own_images.trainings import chain_stages, run_stages

SEED = 1        # of the pictures; the sampler of the long run was chosen with seed 0
END = """
{num_images} handwritten digits in ImageNet's layout are in {data}, everything else in {out}:
  vqgan/ mage/ addp/  checkpoints, logs and curves of the three trainings
  pictures/           samples.png: generated digits, edits.png: lower halves inpainted, and more
What to try next:
  all curves:         tensorboard --logdir {out}
  another mapping:    {argmax}
  your own images:    python tools/train_from_folder.py FOLDER --out work_dirs/mine"""


def parse_args(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line, or the words given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/digits'),
                        help='where everything goes (default: %(default)s)')
    parser.add_argument('--configs', default='configs/digits',
                        help='folder of vqgan.py, mage.py and addp.py, whose sampler draws '
                             '(default: %(default)s)')
    parser.add_argument('--data', type=Path,
                        help='folder of the digits (default: data/ in --work-dir)')
    parser.add_argument('--cfg-options', nargs='+', action=Options, default={},
                        help='change settings of all three configs: key=value')
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> None:
    """Write the data, train what is not trained yet, draw, and say where everything is."""
    args, started = parse_args(words), time.monotonic()
    MMLogger.get_instance('addp_mm').setLevel('WARNING')  # each training has its own log
    out = args.work_dir
    data = write_digits(args.data or out / 'data')
    options = {f'{part}_dataloader.dataset.data_root': str(data) for part in ('train', 'val')}
    stages = chain_stages(find_shipped(args.configs), out, {**options, **args.cfg_options})
    run_stages(stages, say)
    write_pictures(stages, out / 'pictures')
    write_generated(stages[-1], out / 'pictures', SEED)
    argmax = replace(stages[-1], work_dir=out / 'addp_argmax', options={
        **stages[-1].options, 'model.data_preprocessor.diffusion.mapping': 'argmax'})
    num_images = len(list(data.rglob('*.png')))
    say(END.format(out=out, data=data, num_images=num_images, argmax=argmax.command_line))
    say(f'Done in {(time.monotonic() - started) / 60:.1f} minutes.')


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


if __name__ == '__main__':
    sys.exit(run(main, resumable=True))
