"""Reading weight files without running them, writing them whole, finding weights in them."""
from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor, nn

from addp_mm.checkpoints.weight_files import (
    load_checkpoint,
    load_weights,
    match_prefix,
    save_weights,
    sha256_of,
)


class MakesFolder:
    """Its pickle makes a folder when it is read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.folder), )


class CallsGetattr:
    """Its pickle calls ``getattr`` on something harmless."""

    def __reduce__(self) -> tuple:
        return getattr, ('text', 'upper')


@pytest.fixture
def weights() -> dict[str, Tensor]:
    return {'fc.weight': torch.arange(6.).view(2, 3), 'fc.bias': torch.tensor([1, 2]).half()}


def assert_same(weights: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert list(weights) == list(expected)
    for name, tensor in expected.items():
        assert weights[name].dtype == tensor.dtype
        assert torch.equal(weights[name], tensor)


@pytest.mark.parametrize('name', ['a.pth', 'a.safetensors'])
def test_saved_weights_come_back(tmp_path: Path, weights: dict, name: str) -> None:
    path = tmp_path / 'new' / name
    save_weights(weights, path, dict(source='here'))
    assert_same({k: load_weights(path)[k] for k in weights}, weights)
    assert load_checkpoint(path)['meta']['source'] == 'here'
    assert [p.name for p in path.parent.iterdir()] == [name]


@pytest.mark.parametrize('name', ['a.pth', 'a.safetensors'])
def test_saves_views_and_shared_tensors_alone(tmp_path: Path, name: str) -> None:
    table = torch.rand(1000, 100)
    whole = torch.rand(5)
    save_weights({'rows': table[:2], 'column': table[:, 3], 'twin': table[:2], 'whole': whole,
                  'same': whole.view(5, 1)}, tmp_path / name)
    assert (tmp_path / name).stat().st_size < 16_000
    loaded = load_weights(tmp_path / name)
    assert torch.equal(loaded['rows'], table[:2]) and torch.equal(loaded['twin'], table[:2])
    assert torch.equal(loaded['column'], table[:, 3])
    assert torch.equal(loaded['whole'], whole) and torch.equal(loaded['same'][:, 0], whole)


def test_an_existing_file_is_replaced_only_on_request(tmp_path: Path, weights: dict) -> None:
    path = tmp_path / 'a.pth'
    save_weights(weights, path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match='exists already.*--overwrite'):
        save_weights({'other': torch.zeros(1)}, path)
    assert path.read_bytes() == before
    save_weights({'other': torch.zeros(1)}, path, overwrite=True)
    assert list(load_weights(path)) == ['other']


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, weights: dict) -> None:
    path = tmp_path / 'a.pth'
    save_weights(weights, path)
    unpicklable = dict(meta=lambda: None)
    with pytest.raises(Exception, match='pickle'):
        save_weights({'other': torch.zeros(1)}, path, unpicklable, overwrite=True)
    assert os.listdir(tmp_path) == ['a.pth']
    assert set(load_weights(path)) == set(weights)


@pytest.mark.parametrize('outer', ['state_dict', 'model', 'module', None])
@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_finds_the_state_dict(tmp_path: Path, weights: dict, outer: str, prefix: str) -> None:
    named = {prefix + k: v for k, v in weights.items()}
    content = named if outer is None else {outer: named, 'epoch': 3, 'optimizer': dict(lr=0.1)}
    torch.save(content, tmp_path / 'a.pth')
    assert_same(load_weights(tmp_path / 'a.pth'), weights)


def test_a_leading_module_is_kept_where_not_all_have_it(tmp_path: Path) -> None:
    torch.save({'module.a': torch.zeros(1), 'a': torch.ones(1)}, tmp_path / 'a.pth')
    assert set(load_weights(tmp_path / 'a.pth')) == {'module.a', 'a'}


def test_reads_files_of_old_torch(tmp_path: Path, weights: dict) -> None:
    torch.save(weights, tmp_path / 'a.pth', _use_new_zipfile_serialization=False)
    assert_same(load_weights(tmp_path / 'a.pth'), weights)


@pytest.mark.parametrize('zipped', [True, False])
def test_a_pickle_that_runs_code_needs_trust(tmp_path: Path, weights: dict, zipped: bool) -> None:
    path, made = tmp_path / 'a.pth', tmp_path / 'made'
    torch.save({'model': weights, 'args': MakesFolder(made)}, path,
               _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match='mkdir.*trust=True.*--trust-checkpoint'):
        load_weights(path)
    assert not made.exists()
    assert_same(load_weights(path, trust=True), weights)
    assert made.is_dir()


def test_arguments_of_a_released_file_need_trust(tmp_path: Path, weights: dict) -> None:
    torch.save({'model': weights, 'args': Namespace(lr=1)}, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'it calls argparse\.Namespace'):
        load_weights(tmp_path / 'a.pth')
    assert_same(load_weights(tmp_path / 'a.pth', trust=True), weights)


def test_a_pickle_that_torch_cannot_check_needs_trust(tmp_path: Path, weights: dict) -> None:
    torch.save(weights, tmp_path / 'a.pth', pickle_protocol=4)
    with pytest.warns(UserWarning, match='pickle protocol 4'), \
            pytest.raises(ValueError, match=r'is read: Unsupported operand 149\. If you trust'):
        load_weights(tmp_path / 'a.pth')
    assert_same(load_weights(tmp_path / 'a.pth', trust=True), weights)


@pytest.mark.parametrize('value, named', [
    (CallsGetattr(), 'getattr'),
    (np.array([None, {}]), 'dtype'),
    (np.dtype('f8,i4'), 'dtype'),
])
def test_stand_ins_let_no_more_through(tmp_path: Path, value: object, named: str) -> None:
    torch.save({'state_dict': {'a': torch.zeros(1)}, 'meta': value}, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=f'{named}.*trust=True'):
        load_weights(tmp_path / 'a.pth')


@pytest.mark.parametrize('array', [
    np.arange(6, dtype='>f4').reshape(2, 3), np.asfortranarray(np.eye(2, 3)), np.array(True),
    np.zeros((0, 2), dtype='u1')
])
def test_numbers_of_numpy_come_back(tmp_path: Path, array: np.ndarray) -> None:
    torch.save({'meta': [array, (array.sum(), )]}, tmp_path / 'a.pth')
    loaded, (total, ) = load_checkpoint(tmp_path / 'a.pth')['meta']
    assert type(loaded) is np.ndarray
    assert loaded.shape == array.shape and np.array_equal(loaded, array)
    assert total == array.sum() and isinstance(total, np.generic)


class OneLayer(BaseModel):
    """Something a runner can train."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 1)

    def forward(self, inputs: Tensor, mode: str = 'tensor') -> dict[str, Tensor]:
        return dict(loss=self.fc(inputs).square().mean())


def test_reads_what_a_runner_saves(tmp_path: Path) -> None:
    data = [dict(inputs=torch.ones(2))] * 2
    runner = Runner(
        OneLayer(), work_dir=str(tmp_path), experiment_name='reads_what_a_runner_saves',
        train_dataloader=dict(dataset=data, batch_size=1, collate_fn=dict(type='default_collate'),
                              sampler=dict(type='DefaultSampler', shuffle=True)),
        train_cfg=dict(by_epoch=True, max_epochs=1), optim_wrapper=dict(
            optimizer=dict(type='AdamW', lr=0.1)), custom_hooks=[dict(type='EMAHook')],
        param_scheduler=dict(type='LinearLR', by_epoch=False, end=2), log_level='ERROR',
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1)))
    runner.train()
    path = tmp_path / 'epoch_1.pth'
    assert set(load_weights(path)) == {'fc.weight', 'fc.bias'}

    content, unsafe = load_checkpoint(path), torch.load(path, weights_only=False)
    assert content.keys() == unsafe.keys()
    assert content['meta'] == unsafe['meta']
    assert content['param_schedulers'] == unsafe['param_schedulers']
    hub, expected = content['message_hub'], unsafe['message_hub']
    assert hub['runtime_info'] == expected['runtime_info']
    losses = hub['log_scalars']['train/loss']
    assert type(losses) is HistoryBuffer
    assert np.array_equal(losses.data, expected['log_scalars']['train/loss'].data)
    assert losses.statistics('mean') == losses.data[0].mean()
    runner.message_hub.load_state_dict(hub)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize('name, content, message', [
    ('a.pth', b'', 'is empty'),
    ('a.pth', b'version https://git-lfs.github.com/spec/v1\noid sha256:0', 'git lfs pull'),
    ('a.pth', b'<!DOCTYPE html><html>', 'a web page'),
    ('a.pth', b'hello, no weights here', 'not a whole torch file'),
    ('a.safetensors', b'hello, no weights here', 'not a whole .safetensors file'),
])
def test_says_what_is_wrong_with_a_file(tmp_path: Path, name: str, content: bytes,
                                        message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_weights(tmp_path / name)


@pytest.mark.parametrize('trust', [True, False])
@pytest.mark.parametrize('name, zipped, message', [
    ('a.pth', True, 'cut off'), ('a.pth', False, 'not a whole torch file'),
    ('a.safetensors', True, 'not a whole .safetensors file')
])
def test_a_cut_file_is_refused(tmp_path: Path, weights: dict, name: str, zipped: bool,
                               message: str, trust: bool) -> None:
    path = tmp_path / name
    weights = {k: v.repeat(20, *[1] * (v.ndim - 1)) for k, v in weights.items()}
    if zipped:
        save_weights(weights, path)
    else:
        torch.save(weights, path, _use_new_zipfile_serialization=False)
    cut(path)
    with pytest.raises(ValueError, match=message):
        load_weights(path, trust)


def test_a_missing_file_or_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='no weight file .*nowhere.pth'):
        load_weights(tmp_path / 'nowhere.pth')
    with pytest.raises(ValueError, match='is a folder'):
        load_weights(tmp_path)
    with pytest.raises(ValueError, match='is a folder'):
        save_weights({}, tmp_path)


@pytest.mark.parametrize('content, message', [
    ({'state_dict': {'a': torch.zeros(1), 'epoch': 3}}, r'only tensors.*epoch \(int\)'),
    ({'a': torch.zeros(1), 'epoch': 3}, r'only tensors.*epoch \(int\)'),
    ({0: torch.zeros(1)}, r'only tensors.*0 \(Tensor\)'),
    ({}, 'named tensors .* an empty dict'),
    ([torch.zeros(1)], 'named tensors .* list'),
])
def test_only_named_tensors_are_weights(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=message):
        load_weights(tmp_path / 'a.pth')


def test_match_prefix_takes_the_prefix_with_all_names() -> None:
    inner = {'a': torch.zeros(1), 'b.c': torch.ones(1)}
    for prefix in ('', 'tokenizer.', 'model.tokenizer.'):
        weights = {prefix + k: v for k, v in inner.items()}
        weights |= {'discriminator.a': torch.full((1, ), 7.), 'discriminator.d': torch.zeros(2)}
        matched = match_prefix(weights, ['a', 'b.c'])
        assert matched.keys() == inner.keys()
        assert all(matched[k] is inner[k] for k in inner)


def test_match_prefix_lists_what_is_missing() -> None:
    names = [f'layers.{i}' for i in range(30)]
    weights = {f'net.layers.{i}': torch.zeros(1) for i in range(12)} | {'x.layers.20': None}
    with pytest.raises(ValueError, match=r"^18 of 30 tensors .* 'net\.': layers\.12, .*"
                                         r'layers\.21 and 8 more'):
        match_prefix(weights, names)
    for weights in ({}, {'data': torch.zeros(1)}):     # 'dat' is no prefix: it ends in no dot.
        with pytest.raises(ValueError, match='1 of 1 tensors are not in it: a'):
            match_prefix(weights, ['a'])


def test_match_prefix_refuses_to_choose() -> None:
    both = {'online.a': torch.zeros(1), 'average.a': torch.ones(1)}
    with pytest.raises(ValueError, match="different weights under 'online.' and 'average.'"):
        match_prefix(both, ['a'])
    both['average.a'] = torch.zeros(1)
    assert match_prefix(both, ['a'])['a'] == 0
    assert match_prefix(both | {'a': torch.ones(1)}, ['a'])['a'] == 1


def test_sha256_follows_the_file(tmp_path: Path) -> None:
    path = tmp_path / 'a'
    path.write_bytes(b'abc')
    assert sha256_of(path) == 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
    assert sha256_of(str(path)) == sha256_of(path)
    path.write_bytes(b'abcd')
    assert sha256_of(path).startswith('88d4266f')
