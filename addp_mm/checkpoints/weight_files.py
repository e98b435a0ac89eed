"""Weight files, read without running what they contain and written whole or not at all."""
from __future__ import annotations

import errno
import io
import json
import os
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, BinaryIO, cast

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..atomic_write import atomic_write
from ..name_lists import listed
from .converters import convert
from .download import fetch, file_hash
from .fit import more_of_a_part
from .module_notes import all_grids, renamed, with_grids, with_notes
from .releases import find_release, release_name
from .torch_file import ARCHIVE_SIGN, MapLocation, has_checksums, read_torch_file

# Where trainers put the state dict: mmengine and MAGE's trainer, ADDP's trainer, DeepSpeed.
OUTER_KEYS = ('state_dict', 'model', 'module')

# In the texts of a safetensors file: the grids of position tables, by the names of modules.
GRIDS = 'addp_mm.grid_sizes'

# Set to 1 in the environment it allows every file to run code while it is read.
TRUST_VARIABLE = 'ADDP_TRUST_CHECKPOINTS'

# First bytes of files that are often found in the place of a weight file, and what helps.
_IMPOSTORS = {
    b'version https://git-lfs': 'a git-lfs pointer, not the weights: run `git lfs pull`',
    b'<': 'a web page, not the weights: the download went wrong, fetch the file again',
}


def load_weights(path: str | Path, trust: bool = False) -> dict[str, Tensor]:
    """Read the tensors of a weight file.

    A ``.safetensors`` file, or a torch file whose state dict stands under 'state_dict', 'model' or
    'module' or is the file itself. A leading 'module.' of every name is cut off, as are the
    '_orig_mod.' of ``torch.compile``. Arrays of numpy become tensors.

    Args:
        path: The file.
        trust: Let a pickle run code. Only for files from a source you would run a program from.

    Returns:
        The tensors by name, on the CPU.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a whole weight file, needs ``trust``, or holds other things than
            tensors in its state dict.
    """
    return state_dict_of(load_checkpoint(path, trust), path)


def state_dict_of(content: Any, path: str | Path) -> dict[str, Tensor]:
    """The tensors in what :func:`load_checkpoint` has read.

    Args:
        content: What the file holds.
        path: The file, for messages.

    Raises:
        ValueError: If there is no state dict, or it holds other things than tensors.
    """
    if isinstance(content, dict):
        content = next((content[k] for k in OUTER_KEYS if isinstance(content.get(k), dict)),
                       content)
    if not isinstance(content, dict) or not content:
        raise ValueError(
            f'Expected named tensors in {path}, got {_describe(content)}. Save '
            '`model.state_dict()` instead.')
    saved, content = content, {k: _as_tensor(v) for k, v in content.items()}
    others = [f'{k} ({_describe(v)})' for k, v in content.items()
              if not (isinstance(k, str) and isinstance(v, Tensor))]
    if others:
        raise ValueError(
            f'Expected only tensors in the state dict of {path}, got {listed(others)}. Save '
            'the tensors alone, or under the key \'state_dict\'.')
    names = {k: k.replace('_orig_mod.', '') for k in content}       # of torch.compile
    prefix = 'module.' if all(name.startswith('module.') for name in names.values()) else ''
    old_names = {names[k].removeprefix(prefix): k for k in content}
    weights = {name: content[k].detach() for name, k in old_names.items()}
    if len(weights) != len(content):
        raise ValueError(f'{path} holds {len(content) - len(weights)} tensors twice, with and '
                         'without \'_orig_mod.\': save `model.state_dict()` of one model.')
    return with_notes(weights, saved, None if weights.keys() == saved.keys() else old_names)


def meta_of(content: Any) -> dict[str, Any]:
    """What a file says about its weights, of what :func:`load_checkpoint` has read."""
    meta = content.get('meta') if isinstance(content, dict) else None
    return meta if isinstance(meta, dict) else {}


def load_checkpoint(path: str | Path | BinaryIO, trust: bool = False,
                    map_location: MapLocation = 'cpu') -> Any:
    """Read everything in a weight file or in a checkpoint of mmengine's runner.

    Nothing that the file names is called, see :mod:`.safe_pickle`; its checksums are compared; and
    what comes back is in memory of its own, so that the file may be replaced or written.

    Args:
        path: The file, an open torch file, or the name of a released one behind ``addp://``, see
            :func:`fetch`, which comes converted.
        trust: See :func:`load_weights`.
        map_location: As of ``torch.load``.

    Returns:
        What was saved; ``dict(state_dict=..., meta=...)`` for .safetensors and released files.

    Raises:
        ConnectionError: If a released file is not here and cannot be downloaded.
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a whole weight file, or needs ``trust``.
    """
    trust = trust or os.environ.get(TRUST_VARIABLE, '0') == '1'
    if hasattr(path, 'read'):
        file = cast(BinaryIO, path)
        return _load_torch(file, getattr(file, 'name', 'the file'), trust, map_location)
    if name := release_name(path):
        return _load_release(name, trust, map_location)
    path = Path(path)
    _check_file(path)
    if path.suffix == '.safetensors':
        return _load_safetensors(path, map_location)
    with open(path, 'rb') as file:
        return _load_torch(file, path, trust, map_location)


def save_weights(weights: Mapping[str, Tensor], path: str | Path,
                 metadata: Mapping[str, str] | None = None, overwrite: bool = False) -> None:
    """Write a weight file, whole or not at all.

    Args:
        weights: The tensors by name.
        path: The file; a safetensors file if it ends so, else a torch file of
            ``dict(state_dict=..., meta=...)``. Missing folders are made.
        metadata: Texts kept beside the tensors.
        overwrite: Replace an existing file.

    Raises:
        FileExistsError: If the file exists and is not to be replaced.
        ValueError: If ``path`` is a folder.
    """
    path = Path(path)
    check_target(path, overwrite)
    tensors, meta = with_notes(_without_sharing(weights), weights), dict(metadata or {})
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as partial:
        if path.suffix == '.safetensors':
            grids = {GRIDS: json.dumps(all_grids(weights))} if all_grids(weights) else {}
            _save_safetensors(tensors, partial, {'format': 'pt', **meta, **grids})
        else:
            # A file of Python's, not a path: a full disk then is an OSError.
            with open(partial, 'wb') as file:
                torch.save(dict(state_dict=tensors, meta=meta), file)
        os.chmod(partial, 0o666 & ~_umask())      # safetensors writes for its owner only


def _load_release(name: str, trust: bool, map_location: MapLocation) -> dict[str, Any]:
    release = find_release(name)
    path = fetch(release)
    weights = state_dict_of(load_checkpoint(path, trust, map_location), path)
    return dict(state_dict=convert(weights, kind=release.kind).weights,
                meta=dict(source=release.file, source_sha256=file_hash(path)))


def _save_safetensors(tensors: dict[str, Tensor], path: Path, meta: dict[str, str]) -> None:
    try:
        safetensors.torch.save_file(tensors, path, meta)
    except SafetensorError as error:            # the library's own wraps that of the system
        raise OSError(errno.EIO, str(error)) from error


def check_target(path: str | Path, overwrite: bool = False,
                 source: str | Path | None = None) -> None:
    """Raise what :func:`save_weights` would, before the work that leads to it.

    Args:
        path: The file to write.
        overwrite: Replace an existing file.
        source: A file that is read, and would be lost if it were the same.
    """
    path = Path(path)
    if source is not None and path.is_file() and Path(source).is_file() and path.samefile(source):
        raise ValueError(f'{path} is the file that is read: it would be lost. Give another name to '
                         'what is written.')
    if path.is_dir():
        raise ValueError(f'{path} is a folder, expected the name of a file to write, for example '
                         f'{path / "weights.pth"}.')
    if path.exists() and not overwrite:
        raise FileExistsError(f'{path} exists already. Give another name, or allow it to be '
                              'replaced (`overwrite=True`, `--overwrite`).')
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not os.access(above, os.W_OK):
        raise PermissionError(f'{path} cannot be written: {above} is read-only for you.')


def match_prefix(weights: Mapping[str, Tensor], names: Iterable[str]) -> dict[str, Tensor]:
    """Take the tensors called ``names``, which may all stand under one common prefix.

    Args:
        weights: Tensors by name, for example of a training's checkpoint, where those of a
            tokenizer stand under 'tokenizer.' beside other parts.
        names: The wanted names, without prefix.

    Returns:
        The wanted tensors by their names without prefix.

    Raises:
        ValueError: If no prefix has them all, several prefixes have different ones, or the file
            has more of the same parts: it is of a larger model.
    """
    names = list(names)
    found = {prefix: [n for n in names if prefix + n in weights]
             for prefix in _possible_prefixes(weights, names)}
    complete = [p for p, present in found.items() if len(present) == len(names)]
    if not complete:
        best = max(found, key=lambda p: len(found[p]))
        _raise_missing(best, [n for n in names if n not in set(found[best])], len(names))
    chosen = renamed(weights, {n: complete[0] + n for n in names})
    for prefix in complete[1:] if complete[0] else ():
        if not all(torch.equal(chosen[n], weights[prefix + n]) for n in names):
            raise ValueError(f'There are different weights under {complete[0]!r} and {prefix!r}; '
                             'keep the wanted ones in a file of their own.')
    beside = [k.removeprefix(complete[0]) for k in weights if k.startswith(complete[0])]
    if more := more_of_a_part(beside, names):
        raise ValueError(f'The file is of a larger model, with {len(more)} tensors more in the '
                         f'same parts: {listed(more)}. Give the model the sizes that it was '
                         'trained with.')
    return chosen


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a whole file, or of a released one, as 64 hex digits."""
    name = release_name(path)
    return file_hash(fetch(find_release(name)) if name else path)


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _possible_prefixes(weights: Mapping[str, Tensor], names: list[str]) -> list[str]:
    """'' and every other prefix under which at least one name stands, shortest first."""
    prefixes = {k[:len(k) - len(n)] for n in names for k in weights if k.endswith('.' + n)}
    return ['', *sorted(prefixes, key=lambda p: (len(p), p))]


def _raise_missing(prefix: str, missing: list[str], wanted: int) -> None:
    where = f'under {prefix!r}' if prefix else 'in it'
    raise ValueError(
        f'{len(missing)} of {wanted} tensors are not {where}: {listed(missing, 10)}. Are they '
        'the weights of another model or of another size? A released file must be converted '
        'first (convert_checkpoint.py).')


def _as_tensor(value: Any) -> Any:
    """An array of numbers as a tensor, anything else as it is."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in 'biufc':
        return value
    return torch.from_numpy(value.astype(value.dtype.newbyteorder('='), order='C'))


def _describe(value: Any) -> str:
    return 'an empty dict' if value == {} else type(value).__name__


def _without_sharing(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor alone in its storage: files would hold the storage, safetensors refuses it."""
    tensors, storages = {}, set()
    for name, tensor in weights.items():
        tensor = tensor.detach().cpu().contiguous()
        storage = tensor.untyped_storage()
        if storage.data_ptr() in storages or storage.nbytes() != tensor.nbytes:
            tensor = tensor.clone()
        storages.add(tensor.untyped_storage().data_ptr())
        tensors[name] = tensor
    return tensors


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise ValueError(f'{path} is a folder, expected a weight file: name a file in it.')
    if not path.exists():
        raise FileNotFoundError(f'There is no weight file {path} (working folder {os.getcwd()}).')
    with open(path, 'rb') as file:
        start = file.read(64)
    if not start:
        raise ValueError(f'{path} is empty: copy or download it again.')
    for sign, trouble in _IMPOSTORS.items():
        if start.startswith(sign):
            raise ValueError(f'{path} is {trouble}.')
    if start.startswith(b'PK') and not zipfile.is_zipfile(path):
        raise ValueError(f'{path} is cut off: copy or download it again.')


def _load_safetensors(path: Path, map_location: MapLocation) -> dict[str, Any]:
    try:
        with safe_open(path, framework='pt') as file:
            # The library maps the file: a clone has memory of its own.
            tensors = {k: file.get_tensor(k).clone() for k in file.keys()}  # noqa: SIM118
            meta = file.metadata() or {}
            tensors = with_grids(tensors, json.loads(meta.pop(GRIDS, '{}')))
    except SafetensorError as error:
        raise ValueError(f'{path} is not a whole .safetensors file: {error}. Copy or download it '
                         'again, or give a torch file another suffix.') from error
    if map_location is None or str(map_location) == 'cpu':
        return dict(state_dict=tensors, meta=meta)
    stream = io.BytesIO()
    torch.save(dict(state_dict=tensors, meta=meta), stream)
    stream.seek(0)
    return read_torch_file(stream, map_location)


def _load_torch(file: BinaryIO, path: str | Path, trust: bool, map_location: MapLocation) -> Any:
    try:
        if trust:
            _compare_checksums(file)
            # May run code: the user has said that this file is trusted.
            return torch.load(file, map_location, weights_only=False)
        return read_torch_file(file, map_location)
    except UnpicklingError as error:
        named = re.search(r'GLOBAL (.+)', str(error))
        if named is None:
            raise _not_whole(path, error) from error
        raise ValueError(
            f'{path} holds more than data and could run any program when it is read: it calls '
            f'{named.group(1)}. If you trust where it comes from, allow it: in Python with '
            'trust=True, in convert_checkpoint.py with --trust-checkpoint, everywhere else '
            f'with {TRUST_VARIABLE}=1 in the environment.') from error
    except Exception as error:                     # A broken pickle may raise anything.
        raise _not_whole(path, error) from error


def _compare_checksums(file: BinaryIO) -> None:
    if file.read(4) == ARCHIVE_SIGN:
        with zipfile.ZipFile(file) as archive:
            broken = archive.testzip() if has_checksums(archive) else None
            if broken:
                raise zipfile.BadZipFile(f'Bad CRC-32 for file {broken!r}')
    file.seek(0)


def _not_whole(path: str | Path, error: Exception) -> ValueError:
    return ValueError(f'{path} is not a whole torch file ({_cause(error)}). Copy or download '
                      'it again; a safetensors file must end in .safetensors.')


def _cause(error: Exception) -> str:
    if 'CRC-32' in str(error):
        part = re.sub(r'.*file (.*)', r'\1', str(error))
        return f'the checksum of {part} is not that of its bytes'
    return str(error).strip().split('\n')[0] or type(error).__name__
