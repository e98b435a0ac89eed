"""What a config must change on the machine at hand: no GPU, no worker processes, a launcher."""
from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import torch
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from torch import distributed

# Of a process under Slurm and MPI: number, count, and number on its machine.
_RANK_VARIABLES = {
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK'),
}


def adapt_to_machine(cfg: Config) -> list[str]:
    """Change a config where mmengine would stop: no worker processes, or no GPU.

    Without a GPU, distributed processes are connected here, with gloo: mmengine's launchers ask
    for CUDA.

    Returns:
        What was changed, in sentences.
    """
    notes = []
    has_gpu = get_device() not in ('cpu', 'mps')
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg.get(name) or ConfigDict()
        if not loader.get('num_workers', 0) and loader.get('persistent_workers'):
            loader.persistent_workers = False
            loader.pop('prefetch_factor', None)
            notes.append(f'{name}: num_workers=0, so persistent_workers is off.')
        if not has_gpu and loader.get('pin_memory'):
            loader.pin_memory = False
            notes.append(f'{name}: there is no GPU, so pin_memory is off.')
    if has_gpu:
        torch.backends.cudnn.allow_tf32 = False
        notes.append('float32 is computed in full, as in the reference release: TF32 is off.')
        return notes
    for wrapper in optim_wrappers(cfg):
        if wrapper.get('type') == 'AmpOptimWrapper':
            wrapper.type = 'mmpretrain.PortableAmpOptimWrapper'
            notes.append('AmpOptimWrapper needs a GPU: PortableAmpOptimWrapper is used instead.')
    if cfg.get('launcher', 'none') != 'none':
        _connect_without_gpu(cfg)
        notes.append(f'There is no GPU: {distributed.get_world_size()} processes are connected '
                     'with gloo.')
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or []),
                            dict(type='mmpretrain.BatchStatisticsHook')]
        if cfg.get('sync_bn'):
            cfg.sync_bn = None
            notes.append('There is no GPU: each process normalises by its own batch (no sync_bn); '
                         'the running statistics are averaged.')
    return notes


def optim_wrappers(cfg: Config) -> Iterator[ConfigDict]:
    """The config of the optimizer wrapper, or of each one if there are several by name."""
    wrapper = cfg.get('optim_wrapper')
    if wrapper is None:
        return
    several = [part for part in wrapper.values() if isinstance(part, dict) and 'optimizer' in part]
    yield from several or [wrapper]


def rank_environment(launcher: str) -> dict[str, str]:
    """The variables that torch.distributed reads; torchrun has set them itself."""
    if launcher == 'pytorch':
        if 'RANK' not in os.environ:
            raise ValueError('--launcher pytorch expects the variables of torchrun, such as RANK: '
                             'start the processes with torchrun.')
        return {}
    names = dict(zip(('RANK', 'WORLD_SIZE', 'LOCAL_RANK'), _RANK_VARIABLES[launcher], strict=True))
    missing = [source for source in names.values() if source not in os.environ]
    if missing:
        raise ValueError(f'--launcher {launcher} expects the variables {", ".join(missing)}: start '
                         f'the processes with {"srun" if launcher == "slurm" else "mpirun"}.')
    found = {name: os.environ[source] for name, source in names.items()}
    found['MASTER_PORT'] = os.environ.get('MASTER_PORT', '29500')
    if 'MASTER_ADDR' in os.environ:
        return found
    if launcher == 'mpi':
        raise ValueError('--launcher mpi expects MASTER_ADDR, the address of the first machine.')
    hosts = subprocess.run(['scontrol', 'show', 'hostnames', os.environ['SLURM_NODELIST']],
                           capture_output=True, text=True, check=True).stdout
    return {**found, 'MASTER_ADDR': hosts.split()[0]}


def _connect_without_gpu(cfg: Config) -> None:
    if not distributed.is_initialized():
        os.environ.update(rank_environment(cfg.launcher))
        distributed.init_process_group('gloo')
    defaults = dict(type='MMDistributedDataParallel', broadcast_buffers=False,
                    find_unused_parameters=cfg.get('find_unused_parameters', False))
    # Without `device_ids=None` mmengine would ask for the GPU of the process's number.
    cfg.model_wrapper_cfg = ConfigDict(
        {**defaults, **(cfg.get('model_wrapper_cfg') or {}), 'device_ids': None})
