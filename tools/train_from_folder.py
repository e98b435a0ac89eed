"""Tokenizer, token predictor and ADDP from any folder of images, with one command."""
from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from mmengine.logging import MMLogger

from addp_mm.cli.run import run
from addp_mm.own_images.configs import choose_preset, write_missing_config
from addp_mm.own_images.images import prepare_images
from addp_mm.own_images.pictures import write_pictures
from addp_mm.own_images.presets import PRESETS
from addp_mm.own_images.report import write_report
from addp_mm.own_images.trainings import TITLES, Stage, run_stage


def parse_args(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line, or the words given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('data', type=Path,
                        help='folder of images, archive (.zip, .tar...), or list of files')
    parser.add_argument('--out', type=Path, required=True,
                        help='where everything goes; the same command goes on there after a stop')
    parser.add_argument('--size', type=int, help='side of the crops in pixels; a multiple of the '
                                                 "tokenizer's stride (default: the preset's)")
    parser.add_argument('--preset', choices=list(PRESETS),
                        help='size of the models (default: the largest that fits the memory)')
    parser.add_argument('--time-budget', type=float, metavar='MINUTES',
                        help="about how long all stages take together (default: the preset's)")
    parser.add_argument('--no-flip', action='store_true',
                        help='do not mirror images: for text, digits, maps...')
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> None:
    """Check the images, train what is not trained yet, and write the report."""
    args, started = parse_args(words), time.monotonic()
    MMLogger.get_instance('addp_mm').setLevel('WARNING')  # each training has its own log
    name, batches, sizes = choose_preset(args.preset, args.size)
    preset = PRESETS[name]
    images = prepare_images(args.data, args.out, args.size or preset.image_size, say)
    say(f'{images.num_train} images to train with, {images.num_val} held out.')
    for line in (*images.notes, sizes):
        say(f'  {line}')
    minutes = args.time_budget or preset.minutes
    stages: list[Stage] = []
    for number, stage_name in enumerate(TITLES, 1):
        config = write_missing_config(stage_name, preset, images, batches[stage_name], args.out,
                                      minutes, say, flip=not args.no_flip)
        stages.append(Stage(stage_name, config, args.out / stage_name))
        run_stage(stages[-1], say, f'[{number}/{len(TITLES)} {stages[-1].title}]')
    pictures = write_pictures(stages, args.out / 'pictures')
    report = args.out / 'report.md'
    write_report(report, images, sizes, stages, pictures)
    say(f'Done in {(time.monotonic() - started) / 60:.1f} minutes. The report: {report}')
    say('To go on by hand, change these configs and run tools/train.py on them:')
    for stage in stages:
        say(f'  {stage.config}')


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


if __name__ == '__main__':
    sys.exit(run(main, resumable=True))
