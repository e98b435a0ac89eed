"""Tokenizer, token predictor and ADDP from any folder of images, with one command."""
from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

from mmengine.logging import MMLogger

from addp_mm.cli.run import run
from addp_mm.own_images.choices import Choices, settle
from addp_mm.own_images.configs import write_missing_config
from addp_mm.own_images.images import ImageSet, prepare_images
from addp_mm.own_images.next_steps import next_commands
from addp_mm.own_images.pictures import write_generated, write_pictures
from addp_mm.own_images.presets import PRESETS
from addp_mm.own_images.report import judge, write_report
from addp_mm.own_images.scale import SCALES
from addp_mm.own_images.temperature import choose_temperature
from addp_mm.own_images.trainings import Stage, StageError, run_stage

REPORT = 'report.md'
USELESS = (
    'The tokenizer is useless, so nothing was built on it: see {report}. Give it more time '
    '(--time-budget), another --scale or a smaller --size, in another --out; or look at '
    '{folder}/configs/vqgan.py. --use-useless-tokenizer goes on all the same.')


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
    parser.add_argument('--quarter-turns', action='store_true',
                        help='images have no up and no left, as under a microscope or from above: '
                             'mirror them both ways and turn them by quarters')
    parser.add_argument('--scale', choices=SCALES,
                        help="crops at the images' own scale, for many small things in each image; "
                             'or crops of all sizes, shrunk, for one object in each (default: '
                             'chosen from the pictures)')
    parser.add_argument('--stretch', action='store_true',
                        help='stretch grey images (8 or 16 bits) to their range, each by itself')
    parser.add_argument('--use-useless-tokenizer', action='store_true',
                        help='train the other stages even on a tokenizer that keeps less than '
                             'half of the variation within images')
    args = parser.parse_args(words)
    if args.no_flip and args.quarter_turns:
        parser.error('--no-flip keeps images as they are, --quarter-turns turns them: give one.')
    return args


def main(words: list[str] | None = None) -> None:
    """Check the images, train what is not trained yet, and write the report."""
    args, started = parse_args(words), time.monotonic()
    MMLogger.get_instance('addp_mm').setLevel('WARNING')  # each training has its own log
    choices = settle(args.out, args.preset, args.size, args.time_budget, not args.no_flip,
                     args.quarter_turns)
    size = args.size or PRESETS[choices.preset].image_size
    images = prepare_images(args.data, args.out, size, say, args.scale, args.stretch)
    say(f'{images.num_train} images to train with, {images.num_val} held out.')
    for line in (*images.notes, choices.sizes):
        say(f'  {line}')
    choices.keep(args.out)
    stages = train_stages(choices, images, args.out, args.use_useless_tokenizer)
    temperature = show(choices, images, args.out, stages)
    say(f'Done in {(time.monotonic() - started) / 60:.1f} minutes. The report: '
        f'{args.out / REPORT}')
    for line in next_commands(Path(__file__).parent, args.data, args.out, stages, temperature):
        say(line)


def train_stages(choices: Choices, images: ImageSet, out: Path, use_useless: bool) -> list[Stage]:
    """Train what is not trained yet, one stage after the other."""
    preset = PRESETS[choices.preset]
    stages: list[Stage] = []
    for number, name in enumerate(preset.configs, 1):
        config = write_missing_config(name, preset, images, choices.batches[name], out,
                                      choices.minutes, say, choices.flip, choices.turn)
        stages.append(Stage(name, config, out / name))
        label = f'[{number}/{len(preset.configs)} {stages[-1].title}]'
        run_stage(stages[-1], say, label)
        verdict = judge(stages[-1])
        say(f'{label} {verdict}')
        if (name, verdict.word) == ('vqgan', 'useless') and not use_useless:
            write_report(out / REPORT, images, choices.sizes, stages,
                         write_pictures(stages, out / 'pictures'))
            raise StageError(USELESS.format(report=out / REPORT, folder=out))
    return stages


def show(choices: Choices, images: ImageSet, out: Path, stages: list[Stage]) -> float:
    """Draw what the stages can do and write the report; the temperature of its samples."""
    pictures = write_pictures(stages, out / 'pictures')
    temperature = choose_temperature(stages[-1])
    generated, verdict = write_generated(stages[-1], out / 'pictures', temperature=temperature)
    verdict = replace(verdict, reason=f'at temperature {temperature:g} {verdict.reason}')
    say(f'[samples] {verdict}')
    write_report(out / REPORT, images, choices.sizes, stages, pictures | generated, verdict)
    return temperature


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


if __name__ == '__main__':
    sys.exit(run(main, resumable=True))
