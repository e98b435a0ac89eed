"""Weight files, read without running what they contain and written whole or not at all."""
from __future__ import annotations

import errno
import functools
import hashlib
import os
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..atomic_write import atomic_write
from .safe_pickle import revive, stand_ins

# Where trainers put the state dict: mmengine and MAGE's trainer, ADDP's trainer, DeepSpeed.
OUTER_KEYS = ('state_dict', 'model', 'module')

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
    'module' or is the file itself. A leading 'module.' of every name is cut off. The tensors are
    mapped from the file where that is possible: replace such a file while it is in use, and do
    not write into it.

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
    others = [f'{k} ({_describe(v)})' for k, v in content.items()
              if not (isinstance(k, str) and isinstance(v, Tensor))]
    if others:
        raise ValueError(
            f'Expected only tensors in the state dict of {path}, got {_list_names(others)}. Save '
            'the tensors alone, or under the key \'state_dict\'.')
    prefix = 'module.' if all(k.startswith('module.') for k in content) else ''
    return {k.removeprefix(prefix): v.detach() for k, v in content.items()}


def load_checkpoint(path: str | Path, trust: bool = False) -> Any:
    """Read everything in a weight file or in a checkpoint of mmengine's runner.

    Args:
        path: The file.
        trust: See :func:`load_weights`.

    Returns:
        What was saved, tensors on the CPU; ``dict(state_dict=..., meta=...)`` for .safetensors.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a whole weight file, or needs ``trust``.
    """
    path = Path(path)
    _check_file(path)
    if path.suffix == '.safetensors':
        return _load_safetensors(path)
    trust = trust or os.environ.get(TRUST_VARIABLE, '0') == '1'
    return _load_trusted(path) if trust else _load_untrusted(path)


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
    tensors, meta = _without_sharing(weights), dict(metadata or {})
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as partial:
        if path.suffix == '.safetensors':
            _save_safetensors(tensors, partial, {'format': 'pt', **meta})
        else:
            # A file of Python's, not a path: a full disk then is an OSError.
            with open(partial, 'wb') as file:
                torch.save(dict(state_dict=tensors, meta=meta), file)
        os.chmod(partial, 0o666 & ~_umask())      # safetensors writes for its owner only


def _save_safetensors(tensors: dict[str, Tensor], path: Path, meta: dict[str, str]) -> None:
    try:
        safetensors.torch.save_file(tensors, path, meta)
    except SafetensorError as error:            # the library's own wraps that of the system
        raise OSError(errno.EIO, str(error)) from error


def check_target(path: str | Path, overwrite: bool = False) -> None:
    """Raise what :func:`save_weights` would, before the work that leads to it."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(f'{path} is a folder, expected the name of a file to write, for example '
                         f'{path / "weights.pth"}.')
    if path.exists() and not overwrite:
        raise FileExistsError(f'{path} exists already. Give another name, or allow it to be '
                              'replaced (`overwrite=True`, `--overwrite`).')


def match_prefix(weights: Mapping[str, Tensor], names: Iterable[str]) -> dict[str, Tensor]:
    """Take the tensors called ``names``, which may all stand under one common prefix.

    Args:
        weights: Tensors by name, for example of a training's checkpoint, where those of a
            tokenizer stand under 'tokenizer.' beside other parts.
        names: The wanted names, without prefix.

    Returns:
        The wanted tensors by their names without prefix.

    Raises:
        ValueError: If no prefix has them all, or several prefixes have different ones.
    """
    names = list(names)
    found = {prefix: [n for n in names if prefix + n in weights]
             for prefix in _possible_prefixes(weights, names)}
    complete = [p for p, present in found.items() if len(present) == len(names)]
    if not complete:
        best = max(found, key=lambda p: len(found[p]))
        _raise_missing(best, [n for n in names if n not in set(found[best])], len(names))
    chosen = {n: weights[complete[0] + n] for n in names}
    for prefix in complete[1:] if complete[0] else ():
        if not all(torch.equal(chosen[n], weights[prefix + n]) for n in names):
            raise ValueError(f'There are different weights under {complete[0]!r} and {prefix!r}; '
                             'keep the wanted ones in a file of their own.')
    return chosen


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a whole file as 64 hex digits; read again only when the file changed."""
    status = os.stat(path)
    return _sha256(os.path.abspath(path), status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=64)
def _sha256(path: str, _mtime_ns: int, _size: int) -> str:
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


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
        f'{len(missing)} of {wanted} tensors are not {where}: {_list_names(missing)}. Are they '
        'the weights of another model or of another size? A released file must be converted '
        'first (convert_checkpoint.py).')


def _list_names(names: list[str], limit: int = 10) -> str:
    more = f' and {len(names) - limit} more' if len(names) > limit else ''
    return ', '.join(names[:limit]) + more


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


def _load_safetensors(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, framework='pt') as file:
            return dict(state_dict={k: file.get_tensor(k) for k in file.keys()},  # noqa: SIM118
                        meta=file.metadata() or {})
    except SafetensorError as error:
        raise ValueError(f'{path} is not a whole .safetensors file: {error}. Copy or download it '
                         'again, or give a torch file another suffix.') from error


def _load_trusted(path: Path) -> Any:
    try:
        return torch.load(path, map_location='cpu', weights_only=False,
                          mmap=zipfile.is_zipfile(path))
    except Exception as error:                     # A pickle that runs code may raise anything.
        raise _not_whole(path, error) from error


def _load_untrusted(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals(stand_ins()):
            content = torch.load(path, map_location='cpu', weights_only=True,
                                 mmap=zipfile.is_zipfile(path))
        return revive(content)
    except UnpicklingError as error:
        needed = re.search(r'GLOBAL (\S+)', str(error))
        if needed is None and not zipfile.is_zipfile(path):
            raise _not_whole(path, error) from error
        what = f'it calls {needed.group(1)}' if needed else _cause(error)
        raise ValueError(
            f'{path} holds more than tensors and could run any program when it is read: {what}. '
            'If you trust where it comes from, allow it: in Python with trust=True, in '
            'convert_checkpoint.py with --trust-checkpoint, everywhere else with '
            f'{TRUST_VARIABLE}=1 in the environment.') from error
    except Exception as error:                     # A broken pickle may raise anything.
        raise _not_whole(path, error) from error


def _not_whole(path: Path, error: Exception) -> ValueError:
    return ValueError(f'{path} is not a whole torch file ({_cause(error)}). Copy or download '
                      'it again; a safetensors file must end in .safetensors.')


def _cause(error: Exception) -> str:
    """What torch found, without its advice to turn the check off."""
    text = re.sub(r'(?s).*WeightsUnpickler error:\s*', '', str(error)).strip()
    return text.split('\n')[0].split('. In PyTorch')[0] or type(error).__name__


