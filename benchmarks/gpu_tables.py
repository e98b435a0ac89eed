"""Tables of what `gpu_report.py` wrote, as Markdown, named after the card.

    python benchmarks/gpu_tables.py gpu_report.json
    python benchmarks/gpu_tables.py gpu_report.json --page docs/performance.md

On a page the tables of a card take the place of the earlier ones of the same card, or stand behind
those of the others, above the line END_OF_REPORTS.
"""
from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

END_OF_REPORTS = '<!-- end of the GPU reports -->'
STEP_PARTS = ('VQ encoding', 'predictor', 'VQ decoding', 'student forward', 'backward', 'optimizer')
GENERATION_PARTS = ('network', 'VQ decoding', 'sampling')
KERNEL_WIDTH = 60
Report = dict[str, Any]


def markdown(report: Report) -> str:
    """All tables of a report, its card in the heading, and what was not measured."""
    machine = report['machine']
    results = {name: part['result'] for name, part in report['parts'].items() if 'result' in part}
    card = machine.get('gpu', machine['cpu'])
    sections = [f'### {card}', f'torch {machine["torch"]}, random weights and images.']
    for section in SECTIONS:
        sections += section(results)
    missing = [f'- `{name}`: {_reason(part["error"])}'
               for name, part in report['parts'].items() if 'error' in part]
    if missing:
        sections += ['Not measured, or cut off:', '\n'.join(missing)]
    return '\n\n'.join(sections) + '\n'


def put_on_page(page: str, card: str, tables: str) -> str:
    """The text of a page with the tables of a card in their place.

    Raises:
        ValueError: If the page has no line END_OF_REPORTS.
    """
    start, end = f'<!-- GPU report: {card} -->', f'<!-- end of {card} -->'
    block = f'{start}\n{tables}{end}\n'
    earlier = re.compile(f'{re.escape(start)}\n.*?{re.escape(end)}\n', re.DOTALL)
    if earlier.search(page):
        return earlier.sub(lambda _: block, page)
    if END_OF_REPORTS not in page:
        raise ValueError(f'The page has no line {END_OF_REPORTS}, before which reports stand.')
    return page.replace(END_OF_REPORTS, f'{block}{END_OF_REPORTS}')


def main(args: list[str] | None = None) -> None:
    """Print the tables, or put them on a page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('report', type=Path, help='JSON file of gpu_report.py')
    parser.add_argument('--page', type=Path, help='Markdown file that the tables are put into')
    args = parser.parse_args(args)
    report = json.loads(args.report.read_text())
    if args.page is None:
        sys.stdout.write(markdown(report))
        return
    card = report['machine'].get('gpu', report['machine']['cpu'])
    args.page.write_text(put_on_page(args.page.read_text(), card, markdown(report)))


def _steps(results: Report) -> Iterator[str]:
    names = ('step-base', 'compiled-base', 'step-large', 'compiled-large')
    rows = []
    for name in filter(results.__contains__, names):
        result = results[name]
        plain = results.get(f'step-{name.partition("-")[2]}', result)['results']
        for variant, row in result['results'].items():
            if name.startswith('compiled') and variant == 'ours' and 'ours' in plain:
                continue
            rows.append([
                f'{name.partition("-")[2]}, {variant}',
                *(f'{1e3 * row["parts"][part]:.1f}' for part in STEP_PARTS),
                f'{1e3 * row["seconds"]:.1f}', f'{row["images_per_second"]:.0f}',
                f'{next(iter(plain.values()))["seconds"] / row["seconds"]:.2f}',
                f'{100 * row["share_of_ceiling"]:.0f} %', f'{row["peak_memory_gb"]:.1f}'])
    if rows:
        sizes = ', '.join(f'{results[name]["batch_size"]} images with {name.partition("-")[2]}'
                          for name in filter(results.__contains__, ('step-base', 'step-large')))
        yield (f'A training step in ms ({sizes}). "Of rate" is the share of the rate that was '
               'measured for large products:')
        yield _table(['ms', 'VQ enc.', 'predictor', 'VQ dec.', 'forward', 'backward', 'optim.',
                      'all', 'images/s', 'times', 'of rate', 'GB'], rows)


def _generation(results: Report) -> Iterator[str]:
    rows, num_steps = [], 0
    for name in filter(results.__contains__, ('generation-1', 'generation-64')):
        found = results[name]
        num_steps = found['num_steps']
        for variant, row in found['results'].items():
            first = next(iter(found['results'].values()))
            rows.append([
                f'{found["batch_size"]}, {variant}', row['dtype'],
                *(f'{row["parts"].get(part, 0.):.3f}' for part in GENERATION_PARTS),
                f'{row["seconds"]:.3f}', f'{row["images_per_second"]:.2f}',
                f'{first["seconds"] / row["seconds"]:.2f}', f'{row["peak_memory_gb"]:.1f}'])
    if rows:
        yield f'Generation in {num_steps} steps with the large model:'
        yield _table(['batch', 'dtype', *(f'{part}, s' for part in GENERATION_PARTS), 'all, s',
                      'images/s', 'times', 'GB'], rows)


def _trunk(results: Report) -> Iterator[str]:
    if 'dense-trunk' in results:
        found = results['dense-trunk']
        yield (f'The trunk of ViTDet ({found["settings"]["arch"]}, '
               f'{found["settings"]["image_size"]} pixels, {found["settings"]["dtype"]}):')
        yield _table(['', 'forward, ms', 'backward, ms', 'times', 'MiB', 'of it'], [
            [name, f'{1e3 * row["forward"]:.1f}', f'{1e3 * row["backward"]:.1f}',
             f'{row["speedup"]:.2f}', f'{row["mib"]:.0f}', f'{row["memory"]:.2f}']
            for name, row in found['results'].items()])


def _iterations(results: Report) -> Iterator[str]:
    rows = [[f'`{config}`', row['size'], row['images'], f'{row["seconds"]:.3f}',
             f'{row["images"] / row["seconds"]:.1f}', f'{row["memory"]:.1f}']
            for name in ('detector', 'segmentor') if name in results
            for config, row in results[name]['results'].items()]
    if rows:
        yield 'One iteration of a detector and of a segmentor:'
        yield _table(['config', 'pixels', 'images', 's', 'images/s', 'GiB'], rows)


def _batches(results: Report) -> Iterator[str]:
    rows = []
    for name in ('batches-base', 'batches-large'):
        for row in results.get(name, dict(rows=[]))['rows']:
            numbers = [f'{row["images_per_second"]:.0f}', f'{row["memory_gb"]:.1f}'] \
                if row['fits'] else ['does not fit', '']
            rows.append([name.partition('-')[2], row['batch_size'],
                         'yes' if row['checkpointing'] else 'no', *numbers])
    if rows:
        yield 'A training step by the size of its batch:'
        yield _table(['encoder', 'batch', 'checkpointing', 'images/s', 'GB'], rows)


def _loop(results: Report) -> Iterator[str]:
    if 'train-loop' in results:
        found = results['train-loop']
        (_, plain), (_, ahead) = found['seconds'].items()
        yield (f'A real training loop with a batch of {found["batch_size"]}: {1e3 * plain:.0f} ms '
               f'an iteration with mmengine\'s loop, {1e3 * ahead:.0f} ms with `AheadTrainLoop`.')


def _kernels(results: Report) -> Iterator[str]:
    for variant, found in results.get('top-kernels', dict(results={}))['results'].items():
        yield (f'What a step of the large model spends its time on ({variant}, '
               f'{1e3 * found["seconds"]:.0f} ms, busy {100 * found["busy_share"]:.0f} %):')
        yield _table(['kernel', 'share', 'ms', 'calls'], [
            [f'`{kernel["name"][:KERNEL_WIDTH].replace("|", "/")}`',
             f'{100 * kernel["share"]:.1f} %', f'{1e3 * kernel["seconds"]:.2f}',
             f'{kernel["calls"]:.0f}'] for kernel in found['kernels']])


def _frozen(results: Report) -> Iterator[str]:
    if 'frozen-parts' in results:
        found = results['frozen-parts']
        weights = 'a trained one' if found['trained'] else 'random weights'
        yield f'Ways to run the tokenizer ({found["batch_size"]} images, {weights}):'
        yield _table(['', 'encoding, ms', 'decoding, ms', 'equal tokens', 'of 255'], [
            [way, f'{1e3 * row["encoding"]:.1f}', f'{1e3 * row["decoding"]:.1f}',
             f'{100 * row["equal_tokens"]:.3f} %', f'{row["pixel_error"]:.3f}']
            for way, row in found['results'].items()])


SECTIONS: tuple[Callable[[Report], Iterator[str]], ...] = (
    _steps, _generation, _trunk, _iterations, _batches, _loop, _kernels, _frozen)


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [head, ['---'] * len(head), *rows]
    return '\n'.join(f'| {" | ".join(map(str, line))} |' for line in lines)


def _reason(error: str) -> str:
    """How a part ended, and the last line that it printed."""
    last = error.strip().splitlines()[-1]
    return error.strip() if len(error) < 80 else f'{error.partition(":")[0]}, {last[-200:]}'


if __name__ == '__main__':
    main()
