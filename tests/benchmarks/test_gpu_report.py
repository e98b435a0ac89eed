"""The report for GPUs: its parts, what is left when one of them fails, and its tables."""
from __future__ import annotations

import importlib
import json
from argparse import Namespace
from pathlib import Path

import batch_size
import frozen_parts
import gpu_report
import gpu_tables
import pytest
import top_kernels
import torch
import variants
from gpu_report import Part

ROOT = Path(__file__).resolve().parents[2]
TINY = ['--arch', 'tiny', '--rounds', '1']


@pytest.mark.parametrize(('device', 'tiny'), [('cuda', False), ('cpu', True)])
def test_every_part_is_a_command_that_its_script_takes(device: str, tiny: bool):
    parts = gpu_report.report_parts(device, tiny)
    for part in parts:
        script, *words = part.words
        args = importlib.import_module(Path(script).stem).parse_args([*words, '--out', 'a.json'])
        assert args.out == Path('a.json')
        assert all((ROOT / config).is_file() for config in getattr(args, 'configs', []))
    assert len({part.name for part in parts}) == len(parts)
    chosen = gpu_report.parse_args(['--out', 'a.json']).parts
    assert set(chosen) == {part.name for part in parts} - set(gpu_report.PROFILE)


def script(folder: Path, name: str, body: str) -> str:
    path = folder / f'{name}.py'
    path.write_text(f'import pathlib, sys, time\n{body}\n')
    return str(path)


WRITE = "pathlib.Path(sys.argv[-1]).write_text('{\"found\": %d}')"


def test_a_part_that_fails_leaves_the_rest(tmp_path: Path):
    parts = [
        Part('good', [script(tmp_path, 'good', WRITE % 1)], 60),
        Part('bad', [script(tmp_path, 'bad', "sys.exit('out of memory')")], 60),
        Part('slow', [script(tmp_path, 'slow', WRITE % 2 + '\ntime.sleep(60)')], 1),
        Part('last', [script(tmp_path, 'last', WRITE % 3)], 60)]
    out = tmp_path / 'report.json'
    report = gpu_report.run_parts(parts, out, 100., dict(cpu='any', torch='2'))
    assert json.loads(out.read_text()) == report
    found = report['parts']
    assert [found[name].get('result') for name in ('good', 'slow', 'last')] == [
        dict(found=1), dict(found=2), dict(found=3)]
    assert 'error' not in found['good'] and 'result' not in found['bad']
    assert found['bad']['error'].endswith('out of memory\n')
    assert found['slow']['error'].startswith('stopped after') and found['slow']['seconds'] < 30


def test_no_part_begins_without_time(tmp_path: Path):
    parts = [Part('never', [script(tmp_path, 'never', WRITE % 1)], 60)]
    report = gpu_report.run_parts(parts, tmp_path / 'report.json', 1., {})
    assert report['parts']['never'] == dict(seconds=0., error='not begun: no time was left')


def step_result(**seconds: float) -> dict:
    parts = dict.fromkeys(gpu_tables.STEP_PARTS, 0.001)
    return dict(batch_size=8, results={
        name: dict(parts=parts, seconds=value, images_per_second=8 / value, share_of_ceiling=0.5,
                   peak_memory_gb=3.) for name, value in seconds.items()})


def test_tables_name_the_card_and_what_is_missing():
    report = dict(machine=dict(gpu='Card 9', cpu='any', torch='2.11'), parts={
        'step-base': dict(result=step_result(plain=0.6, ours=0.2)),
        'compiled-base': dict(result=step_result(ours=0.21, compiled=0.15)),
        'detector': dict(error='1: ...Traceback\n' + 80 * 'x' + '\nOutOfMemoryError: no block\n')})
    text = gpu_tables.markdown(report)
    assert text.startswith('### Card 9\n')
    rows = {line.split(' | ')[0]: line for line in text.splitlines()}
    assert '| 3.00 |' in rows['| base, ours'] and '| 4.00 |' in rows['| base, compiled']
    assert '- `detector`: 1, OutOfMemoryError: no block' in text
    assert max(len(line) for line in text.splitlines() if line.startswith('|')) <= 110


def test_a_page_keeps_one_report_of_each_card():
    page = f'# Speed\n{gpu_tables.END_OF_REPORTS}\nmore\n'
    for card, tables in (('A', 'one\n'), ('B', 'two\n'), ('A', 'three\n')):
        page = gpu_tables.put_on_page(page, card, tables)
    assert page.index('three') < page.index('two') < page.index('more') and 'one' not in page
    with pytest.raises(ValueError, match='no line'):
        gpu_tables.put_on_page('# Speed\n', 'A', 'one\n')


def test_batches_until_the_memory_is_full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    draw = torch.rand

    def draw_what_fits(*args: object, **kwargs: object) -> torch.Tensor:
        if args[0][0] == 3:
            raise torch.OutOfMemoryError('no block')
        return draw(*args, **kwargs)

    monkeypatch.setattr(torch, 'rand', draw_what_fits)
    out = tmp_path / 'batches.json'
    result = batch_size.main([*TINY, '--batches', '1', '3', '4', '--out', str(out)])
    assert json.loads(out.read_text()) == result
    assert [(row['batch_size'], row['checkpointing'], row['fits']) for row in result['rows']] == [
        (1, False, True), (3, False, False), (1, True, True), (3, True, False)]
    assert 'does not fit' in gpu_tables.markdown(
        dict(machine=result['machine'], parts={'batches-base': dict(result=result)}))


def test_kernels_that_take_the_most_time(capsys: pytest.CaptureFixture):
    result = top_kernels.main([*TINY, '--batch-size', '1', '--variants', 'ours', '--top', '3'])
    found = result['results']['ours']
    seconds = [kernel['seconds'] for kernel in found['kernels']]
    assert len(seconds) == 3 and seconds == sorted(seconds, reverse=True) and seconds[-1] > 0
    assert 'aten::' in capsys.readouterr().out


def test_ways_to_run_the_tokenizer():
    ways = ['float16', 'channels last']
    found = frozen_parts.main([*TINY, '--batch-size', '1', '--ways', *ways])['results']
    assert list(found) == ['float32', *ways]
    assert found['float32']['equal_tokens'] == 1 and found['float32']['pixel_error'] == 0
    assert all(row['encoding'] > 0 and row['decoding'] > 0 for row in found.values())


def test_norm_and_silu_as_one_function_change_nothing(tiny: Namespace):
    args = Namespace(**vars(tiny) | dict(tokenizer=None))
    plain, fused = (frozen_parts.FrozenModule(
        variants.read_config_file(args).model.data_preprocessor.tokenizer.model,
        str(tiny.frozen / 'tokenizer.safetensors')) for _ in range(2))
    frozen_parts.fuse_norm_and_silu(fused.description, backend='eager')
    images = frozen_parts.pictures(args)
    with plain.running() as one, fused.running() as other:
        torch.testing.assert_close(other.encoder(images), one.encoder(images))
        assert all(hasattr(block.forward, 'func') for block in other.modules()
                   if isinstance(block, frozen_parts.ResidualBlock))
