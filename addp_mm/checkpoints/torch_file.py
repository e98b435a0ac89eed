"""Files of ``torch.save``, read as data into memory of their own: their bytes are checked first.

An archive holds a checksum for each of its parts, which torch does not compare. Nothing is mapped:
whoever writes into the file afterwards, or cuts it off, changes nothing of what was read.
"""
from __future__ import annotations

import io
import struct
import sys
import zipfile
from collections.abc import Callable
from pickle import UnpicklingError
from typing import IO, Any, BinaryIO, NamedTuple, TypeAlias

import torch
from torch import Tensor

from .pickled_types import containers, reference, values
from .safe_pickle import Record, RecordUnpickler, Reviver

ARCHIVE_SIGN = b'PK\3\4'
_STREAM_MAGIC, _STREAM_PROTOCOL = 0x1950a86a20f9469cfc6c, 1001      # before torch 1.6

# The types that storages had when they had types.
_STORAGES = {
    'UntypedStorage': torch.uint8, 'FloatStorage': torch.float32, 'DoubleStorage': torch.float64,
    'HalfStorage': torch.float16, 'BFloat16Storage': torch.bfloat16, 'LongStorage': torch.int64,
    'IntStorage': torch.int32, 'ShortStorage': torch.int16, 'CharStorage': torch.int8,
    'ByteStorage': torch.uint8, 'BoolStorage': torch.bool, 'QInt8Storage': torch.qint8,
    'QUInt8Storage': torch.quint8, 'QInt32Storage': torch.qint32,
    'ComplexFloatStorage': torch.complex64, 'ComplexDoubleStorage': torch.complex128,
}
# What `map_location` of torch.load may be.
MapLocation: TypeAlias = Callable | torch.device | str | dict | None


class _StorageName(NamedTuple):
    """What a pickle refers to a storage with."""
    key: str
    dtype: torch.dtype
    location: str
    numel: int
    view: tuple | None = None           # (key, offset, size) in elements, of torch's oldest files

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.numel * self.dtype.itemsize


def read_torch_file(file: BinaryIO, map_location: MapLocation = None) -> Any:
    """Read what ``torch.save`` wrote, without calling anything that it names.

    Args:
        file: An open file that can be read from any place.
        map_location: As of ``torch.load``; what was saved on a device that is not there goes to
            the CPU if None.

    Raises:
        UnpicklingError: If it names what is not known to be data.
        Exception: Whatever a broken file leads to; ``zipfile.BadZipFile`` for a wrong checksum.
    """
    is_archive = file.read(4) == ARCHIVE_SIGN
    file.seek(0)
    return (_read_archive if is_archive else _read_stream)(file, map_location)


def has_checksums(archive: zipfile.ZipFile) -> bool:
    """Whether checksums were written: torch can be told not to, and then writes zeros."""
    return any(info.CRC for info in archive.infolist())


def _read_archive(file: BinaryIO, map_location: MapLocation) -> Any:
    with zipfile.ZipFile(file) as archive:
        parts = {info.filename: info for info in archive.infolist()}
        root = next(iter(parts)).partition('/')[0]
        if f'{root}/constants.pkl' in parts:
            raise UnpicklingError(f'GLOBAL {root}/code (a program of TorchScript)')
        if not has_checksums(archive):
            for info in parts.values():
                del info.CRC                                # or zipfile would compare it
        order = archive.read(f'{root}/byteorder') if f'{root}/byteorder' in parts else b'little'

        def load(name: _StorageName) -> torch.UntypedStorage:
            info = parts[f'{root}/data/{name.key}']
            with archive.open(info) as part:
                storage = _read_storage(part, name, info.file_size)
            if order.decode() != sys.byteorder:
                storage.byteswap(name.dtype)
            return storage

        pickled = io.BytesIO(archive.read(f'{root}/data.pkl'))
        content = RecordUnpickler(pickled, _storage_name).load()
        return _reviver(load, map_location)(content)


def _read_stream(file: BinaryIO, map_location: MapLocation) -> Any:
    """Torch's format before 1.6: pickles one after the other, then the storages."""
    if RecordUnpickler(file).load() != _STREAM_MAGIC or (
            RecordUnpickler(file).load() != _STREAM_PROTOCOL):
        raise ValueError('it does not begin as a file of torch does')
    RecordUnpickler(file).load()                            # about the system
    names: dict[str, _StorageName] = {}

    def note(pid: Any) -> _StorageName:
        name = _storage_name(pid)
        names[name.key] = name
        return name

    content = RecordUnpickler(file, note).load()
    storages = {}
    for key in RecordUnpickler(file).load():
        numel, = struct.unpack('<q', file.read(8))
        storages[key] = _read_storage(file, names[key], numel * names[key].dtype.itemsize)
    return _reviver(lambda name: storages[name.key], map_location)(content)


def _read_storage(file: IO[bytes], name: _StorageName, nbytes: int) -> torch.UntypedStorage:
    if nbytes != name.nbytes:
        raise ValueError(f'the storage {name.key} has {nbytes} bytes, expected {name.nbytes}')
    storage = torch.empty(nbytes, dtype=torch.uint8, device='cpu')
    data = memoryview(storage.numpy())
    if file.readinto(data) != nbytes:   # type: ignore[attr-defined]  # typing.IO leaves it out
        raise EOFError(f'it ends in the storage {name.key}')
    return storage.untyped_storage()


def _storage_name(pid: Any) -> _StorageName:
    kind, record, key, location, numel, *view = pid
    if kind != 'storage' or not issubclass(record, Record):
        raise UnpicklingError(f'GLOBAL {kind}')
    module, _, name = record.path.rpartition('.')
    if module not in ('torch', 'torch.cuda', 'torch.storage') or name not in _STORAGES:
        raise UnpicklingError(f'GLOBAL {record.path}')
    return _StorageName(str(key), _STORAGES[name], location, int(numel), view[0] if view else None)


def _reviver(load: Callable[[_StorageName], torch.UntypedStorage],
             map_location: MapLocation) -> Reviver:
    move = _mover(map_location)
    loaded: dict[str, torch.UntypedStorage] = {}

    def storage_of(name: Any) -> torch.storage.TypedStorage:
        if not isinstance(name, _StorageName):
            raise UnpicklingError(f'GLOBAL {type(name).__name__}')
        if name.key not in loaded:
            loaded[name.key] = move(load(name), name.location)
        storage = loaded[name.key]
        if name.view is not None:
            _, offset, size = name.view
            storage = storage[offset * name.dtype.itemsize:(offset + size) * name.dtype.itemsize]
        return torch.storage.TypedStorage(wrap_storage=storage, dtype=name.dtype, _internal=True)

    return Reviver(values() | _TENSORS, containers(), reference, storage_of)


def _mover(map_location: MapLocation) -> Callable[[torch.UntypedStorage, str], Any]:
    """What puts a storage where ``map_location`` says, as ``torch.load`` does."""
    restore = torch.serialization.default_restore_location
    if callable(map_location):
        def move(storage: torch.UntypedStorage, location: str) -> Any:
            moved = map_location(storage, location)
            return restore(storage, location) if moved is None else moved
        return move
    if isinstance(map_location, dict):
        return lambda storage, location: restore(storage, map_location.get(location, location))
    if map_location is not None:
        return lambda storage, _: restore(storage, str(map_location))

    def stay(storage: torch.UntypedStorage, location: str) -> Any:
        try:
            return restore(storage, location)
        except (RuntimeError, AttributeError, AssertionError):      # there is no such device
            return storage
    return stay


def _tensor(record: Record, revive: Reviver) -> Tensor:
    """A tensor in a storage, which it must not reach beyond: torch would make that longer."""
    args = tuple(map(revive, record.args))
    storage, offset, size, stride = args[:4]
    if not isinstance(storage, torch.storage.TypedStorage):
        raise UnpicklingError('a tensor without a storage')
    name = record.path.rpartition('.')[2]
    dtype = args[6] if name == '_rebuild_tensor_v3' else storage.dtype
    numbers = (offset, *size, *stride)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    nbytes = 0 if 0 in size else (last + 1) * dtype.itemsize
    if min(numbers) < 0 or nbytes > storage._untyped_storage.nbytes():
        raise UnpicklingError('a tensor that reaches beyond its storage')
    return getattr(torch._utils, name)(*args)


def _rebuilt(record: Record, revive: Reviver) -> Any:
    return getattr(torch._utils, record.path.rpartition('.')[2])(*map(revive, record.args))


def _sparse(record: Record, revive: Reviver) -> Tensor:
    with torch.sparse.check_sparse_tensor_invariants():
        return _rebuilt(record, revive)


def _empty(record: Record, revive: Reviver) -> Tensor:
    """A tensor without data, on the device 'meta'."""
    dtype, size, stride, requires_grad = map(revive, record.args)
    return torch.empty_strided(size, stride, dtype=dtype, device='meta',
                               requires_grad=requires_grad)


def _subclass(record: Record, revive: Reviver) -> Tensor:
    """A tensor with attributes of its own."""
    function, kind, args, state = record.args
    kinds = {'torch.Tensor': Tensor, 'torch.nn.parameter.Parameter': torch.nn.Parameter,
             'torch.nn.parameter.Buffer': Tensor}
    path = getattr(function, 'path', '')
    if path not in _TENSORS or getattr(kind, 'path', '') not in kinds or type(state) is not dict:
        raise UnpicklingError(f'GLOBAL {getattr(kind, "path", kind)}')
    inner = type('Record', (Record, ), dict(path=path))(*args)
    tensor = _TENSORS[path](inner, revive).as_subclass(kinds[kind.path])
    vars(tensor).update(revive(state))
    return tensor


_TENSORS = {
    **{f'torch._utils._rebuild_{name}': _tensor
       for name in ('tensor', 'tensor_v2', 'tensor_v3', 'qtensor')},
    'torch._utils._rebuild_sparse_tensor': _sparse,
    'torch._utils._rebuild_meta_tensor_no_storage': _empty,
    'torch._utils._rebuild_nested_tensor': _rebuilt,
    'torch._utils._rebuild_parameter': _rebuilt,
    'torch._utils._rebuild_parameter_with_state': _rebuilt,
    'torch._tensor._rebuild_from_type_v2': _subclass,
}

