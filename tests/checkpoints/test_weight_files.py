"""Reading weight files without running them, writing them whole, finding weights in them."""
from __future__ import annotations

import os
import pickle
import struct
import warnings
import zipfile
from argparse import Namespace
from collections import Counter, OrderedDict, UserDict, defaultdict, deque
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import SimpleNamespace
from uuid import UUID

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor, nn

from addp_mm.checkpoints import is_whole
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

    class Unpicklable:
        def __reduce__(self):
            raise pickle.PicklingError('cannot pickle this')

    unpicklable = dict(meta=Unpicklable())
    with pytest.raises(pickle.PicklingError, match='cannot pickle this'):
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


def test_arguments_of_a_released_file_are_data(tmp_path: Path, weights: dict) -> None:
    args = Namespace(lr=1, output=Path('out'))              # as in every file of MAE, MAGE and ADDP
    torch.save({'model': weights, 'args': args}, tmp_path / 'a.pth')
    assert_same(load_weights(tmp_path / 'a.pth'), weights)
    assert load_checkpoint(tmp_path / 'a.pth')['args'] == args


def test_arguments_that_run_code_need_trust(tmp_path: Path, weights: dict) -> None:
    args = Namespace(lr=MakesFolder(tmp_path / 'made'))
    torch.save({'model': weights, 'args': args}, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'it calls posix\.mkdir'):
        load_weights(tmp_path / 'a.pth')
    assert not (tmp_path / 'made').exists()


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
def test_every_protocol_is_read(tmp_path: Path, weights: dict, protocol: int, zipped: bool) -> None:
    content = dict(state_dict=weights, meta={'tags': {'a', 'b'}, 'size': np.arange(3), 'raw': b'x'})
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')                     # torch warns of protocol 4
        torch.save(content, tmp_path / 'a.pth', pickle_protocol=protocol,
                   _use_new_zipfile_serialization=zipped)
    loaded = load_checkpoint(tmp_path / 'a.pth')
    assert_same(loaded['state_dict'], weights)
    assert loaded['meta']['tags'] == {'a', 'b'} and loaded['meta']['raw'] == b'x'
    assert loaded['meta']['size'].tolist() == [0, 1, 2]


@pytest.mark.parametrize('value, named', [
    (CallsGetattr(), 'getattr'),
    (np.array([None, CallsGetattr()]), 'getattr'),
    ({CallsGetattr(): 1}, 'getattr'),
    (OrderedDict(a=(CallsGetattr(), )), 'getattr'),
    (np.float64, None),
    (os.mkdir, 'mkdir'),
    (torch.load, 'load'),
    (Path.unlink, 'unlink'),
])
def test_only_data_is_let_through(tmp_path: Path, value: object, named: str | None) -> None:
    torch.save({'state_dict': {'a': torch.zeros(1)}, 'meta': value}, tmp_path / 'a.pth')
    if named is None:
        assert load_checkpoint(tmp_path / 'a.pth')['meta'] is value
        return
    with pytest.raises(ValueError, match=f'it calls .*{named}.*trust=True'):
        load_weights(tmp_path / 'a.pth')


class Reduced:
    """Is pickled as a call of something with the arguments given."""

    def __init__(self, *call: object) -> None:
        self.call = call

    def __reduce__(self) -> tuple:
        return self.call[0], self.call[1:]


@pytest.mark.parametrize('value', [
    Reduced(bytes, 1 << 40), Reduced(bytearray, 1 << 40), Reduced(set, range(1 << 40)),
    Reduced(deque, range(1 << 40)), Reduced(Counter, range(1 << 40)),
    Reduced(Fraction, '1e999999999'),
    Reduced(torch._utils._rebuild_tensor_v2, 1, 0, (1 << 40, ), (1, ), False, OrderedDict()),
])
def test_a_number_in_a_file_takes_no_memory(tmp_path: Path, value: Reduced) -> None:
    torch.save({'state_dict': {'a': torch.zeros(1)}, 'meta': value}, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'a\.pth (is not a whole|holds more than data)'):
        load_weights(tmp_path / 'a.pth')


def test_a_tensor_ends_in_its_storage(tmp_path: Path) -> None:
    storage = torch.arange(4.).untyped_storage()
    typed = torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.float32, _internal=True)
    reaching = Reduced(torch._utils._rebuild_tensor_v2, typed, 1, (4, ), (1, ), False,
                       OrderedDict())
    torch.save({'a': reaching}, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='reaches beyond its storage'):
        load_weights(tmp_path / 'a.pth')


def test_shared_parts_are_visited_once(tmp_path: Path) -> None:
    bomb: list = []
    for _ in range(40):
        bomb = [bomb, bomb]
    torch.save({'state_dict': {'a': torch.zeros(1)}, 'meta': bomb}, tmp_path / 'a.pth')
    loaded = load_checkpoint(tmp_path / 'a.pth')['meta']
    assert loaded[0] is loaded[1] and loaded[0][0] is loaded[1][1]


def test_what_holds_itself_and_what_is_nested_deeply(tmp_path: Path) -> None:
    ring: dict = OrderedDict(a=[])
    ring['a'].append(ring)
    torch.save({'meta': ring}, tmp_path / 'a.pth')
    loaded = load_checkpoint(tmp_path / 'a.pth')['meta']
    assert loaded['a'][0] is loaded
    deep = pickle.dumps(None)[:2] + b'(' * 5000 + b'N' + b't' * 5000 + b'.'
    with zipfile.ZipFile(tmp_path / 'b.pth', 'w') as archive:
        archive.writestr('b/data.pkl', deep)
    with pytest.raises(ValueError, match='not a whole torch file'):
        load_checkpoint(tmp_path / 'b.pth')


class Labels(dict):
    """A dictionary with a class of its own, which is not known."""


KINDS = [
    None, 2 ** 100, 1 + 2j, b'\xff', bytearray(b'\xff'), {1, 2}, frozenset({3}), range(3),
    slice(1, 2), ..., int, np.float32(1), np.bool_(True), np.str_('abc'), np.bytes_(b'ab'),
    np.datetime64('2020-01-01'), np.timedelta64(3, 's'), np.dtype('>i2'), np.dtype('f8,i4'),
    np.dtype('M8[ns]'), np.float32, torch.Size([1, 2]), torch.float16, torch.device('cuda', 1),
    torch.__version__, OrderedDict(a=1), defaultdict(list, a=[1]), deque([1, 2], maxlen=3),
    Counter('aab'), UserDict(a=1), datetime(2020, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
    date(2020, 1, 1), time(1), timedelta(3), Path('/a/b'), PurePosixPath('a'),
    PureWindowsPath('c:\\x'), Namespace(lr=1), SimpleNamespace(a=1), Decimal('1.5'),
    Fraction(1, 3), UUID(int=5), ConfigDict(a=dict(b=[dict(c=1)])), {(1, 'a'): [{2: (3, )}]},
]


@pytest.mark.parametrize('value', KINDS, ids=lambda value: type(value).__name__)
def test_kinds_of_data_beside_the_weights(tmp_path: Path, value: object) -> None:
    torch.save({'state_dict': {'a': torch.zeros(1)}, 'meta': dict(value=value)}, tmp_path / 'a.pth')
    loaded = load_checkpoint(tmp_path / 'a.pth')['meta']['value']
    assert type(loaded) is type(value)
    assert loaded == value


def test_an_unknown_class_is_named(tmp_path: Path) -> None:
    torch.save({'state_dict': {'a': torch.zeros(1)}, 'meta': Labels(a=1)}, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'it calls \S*Labels\. If you trust'):
        load_weights(tmp_path / 'a.pth')


@pytest.mark.parametrize('tensor', [
    torch.arange(12.).view(3, 4).t()[1:], torch.ones(2, dtype=torch.bfloat16), torch.tensor(3),
    torch.ones(2).to(torch.float8_e4m3fn), torch.ones(2, dtype=torch.complex64).conj(),
    nn.Parameter(torch.ones(2)), torch.eye(3).to_sparse(), torch.empty(0, 3),
], ids=lambda tensor: f'{tensor.dtype} {tuple(tensor.shape)}')
@pytest.mark.parametrize('zipped', [True, False])
def test_kinds_of_tensors(tmp_path: Path, tensor: Tensor, zipped: bool) -> None:
    torch.save([tensor, tensor.detach()], tmp_path / 'a.pth', _use_new_zipfile_serialization=zipped)
    loaded, twin = load_checkpoint(tmp_path / 'a.pth')
    assert type(loaded) is type(tensor)
    assert (loaded.dtype, loaded.layout) == (tensor.dtype, tensor.layout)
    if tensor.layout is torch.strided:
        assert loaded.stride() == tensor.stride()
        assert loaded.data_ptr() == twin.data_ptr()
    assert torch.equal(loaded.to_dense().to(torch.complex64), tensor.to_dense().to(torch.complex64))


@pytest.mark.parametrize('array', [
    np.array(['a', 'bcd']), np.array([None, {'a': 1}]), np.zeros(2, 'f8,i4'),
    np.array(['2020-01'], 'M8[M]'), np.array([b'a', b'bc']),
], ids=lambda array: str(array.dtype))
def test_other_arrays_of_numpy_come_back(tmp_path: Path, array: np.ndarray) -> None:
    torch.save({'meta': array}, tmp_path / 'a.pth')
    loaded = load_checkpoint(tmp_path / 'a.pth')['meta']
    assert loaded.dtype == array.dtype and np.array_equal(loaded, array)


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


def flip_one_bit(path: Path, part: str) -> None:
    """Flip a bit in the middle of the part of an archive whose name ends so."""
    with zipfile.ZipFile(path) as archive:
        info = next(i for i in archive.infolist() if i.filename.endswith(part))
    data = bytearray(path.read_bytes())
    lengths = struct.unpack('<HH', data[info.header_offset + 26:info.header_offset + 30])
    data[info.header_offset + 30 + sum(lengths) + info.file_size // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize('trust', [True, False])
@pytest.mark.parametrize('part', ['data.pkl', 'data/0', 'data/1', 'byteorder'])
def test_one_flipped_bit_is_noticed(tmp_path: Path, part: str, trust: bool) -> None:
    path = tmp_path / 'a.pth'
    torch.save({'state_dict': {'a': torch.rand(99)}, 'optimizer': torch.rand(9)}, path)
    flip_one_bit(path, part)
    with pytest.raises(ValueError, match=rf"a\.pth is not a whole .*checksum of 'a/{part}'"):
        load_weights(path, trust)


def test_a_file_that_was_saved_without_checksums(tmp_path: Path, weights: dict) -> None:
    path = tmp_path / 'a.pth'
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(weights, path)
    finally:
        torch.serialization.set_crc32_options(True)
    for trust in (True, False):
        assert_same(load_weights(path, trust), weights)
    assert is_whole(path)


@pytest.mark.parametrize('size', [-8, 8])
def test_a_header_of_safetensors_that_does_not_fit_its_data(tmp_path: Path, weights: dict,
                                                           size: int) -> None:
    path = tmp_path / 'a.safetensors'
    save_weights(weights, path)
    data = path.read_bytes()
    path.write_bytes(data[:size] if size < 0 else data + bytes(size))
    with pytest.raises(ValueError, match='not a whole .safetensors file'):
        load_weights(path)


@pytest.mark.parametrize('name', ['a.pth', 'a.safetensors'])
def test_nothing_is_mapped_from_the_file(tmp_path: Path, weights: dict, name: str) -> None:
    path = tmp_path / name
    save_weights(weights, path)
    loaded = load_weights(path)
    path.write_bytes(b'\0' * path.stat().st_size)       # as `cp` does, into the file itself
    assert_same({k: loaded[k] for k in weights}, weights)
    path.write_bytes(b'')
    assert_same({k: loaded[k] for k in weights}, weights)


def test_a_program_of_torchscript_is_refused(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')                     # TorchScript is deprecated
        torch.jit.save(torch.jit.script(nn.Linear(2, 2)), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='a program of TorchScript'):
        load_weights(tmp_path / 'a.pth')


def test_names_of_torch_compile(tmp_path: Path, weights: dict) -> None:
    for names in ('_orig_mod.{}', 'module._orig_mod.{}', '_orig_mod.module.{}'):
        torch.save({names.format(k): v for k, v in weights.items()}, tmp_path / 'a.pth')
        assert_same(load_weights(tmp_path / 'a.pth'), weights)
    inner = {'backbone._orig_mod.fc': torch.zeros(1), 'head': torch.zeros(1)}
    torch.save(inner, tmp_path / 'a.pth')
    assert set(load_weights(tmp_path / 'a.pth')) == {'backbone.fc', 'head'}
    torch.save({'_orig_mod.a': torch.zeros(1), 'a': torch.ones(1)}, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='1 tensors twice'):
        load_weights(tmp_path / 'a.pth')


def test_a_state_dict_of_arrays(tmp_path: Path) -> None:
    arrays = {'a': np.arange(6, dtype='>f4').reshape(2, 3), 'b': np.array(3), 'c': np.eye(2)[::-1]}
    torch.save(dict(state_dict=arrays), tmp_path / 'a.pth')
    loaded = load_weights(tmp_path / 'a.pth')
    assert_same(loaded, {k: torch.tensor(v.astype(v.dtype.newbyteorder('=')).copy())
                         for k, v in arrays.items()})
    torch.save(dict(state_dict={'a': np.array(['x'])}), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'only tensors.*a \(ndarray\)'):
        load_weights(tmp_path / 'a.pth')


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
