"""What the tools of mmpretrain, mmdet and mmseg do differently; `default_scope` says which."""
from __future__ import annotations

import importlib
import os
from copy import deepcopy
from typing import Any

import mmengine
from mmengine.config import Config, ConfigDict
from mmengine.evaluator import DumpResults
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.logging import print_log

from ..quiet_import import without_onedl_line
from .stack import check_class_weights

_DENSE_SCOPES = ('mmdet', 'mmseg')


def scope_of(cfg: Config) -> str:
    """The library that a config is for."""
    return cfg.get('default_scope') or 'mmpretrain'


def check_scope(cfg: Config) -> None:
    """See that the library a config is for can be imported.

    Raises:
        ValueError: If mmdet or mmseg is missing or does not work, or cannot do what it says.
    """
    scope = scope_of(cfg)
    if scope not in _DENSE_SCOPES:
        return
    try:
        with without_onedl_line():
            importlib.import_module(f'{scope}.models')
            importlib.import_module(f'{scope}.datasets')
    except (ImportError, AssertionError) as error:     # mmdet and mmseg assert versions
        reason = str(error).splitlines()[0]
        raise ValueError(f'This config needs {scope}, which cannot be imported ({reason}): '
                         'check_env.py prints the command that installs it.'
                         ) from error
    if scope == 'mmseg':
        check_class_weights(cfg)


def loader_defaults(cfg: Config) -> dict:
    """What the library's tools set in a data loader where the config is silent."""
    if scope_of(cfg) in _DENSE_SCOPES:
        return dict(pin_memory=True)        # images differ in size: mmengine's own collate function
    return dict(pin_memory=True, collate_fn=dict(type='default_collate'))


def draw_predictions(cfg: Config, show: bool, show_dir: str | None, interval: int,
                     wait_time: float) -> None:
    """Have the predictions of a test shown in a window or written to a folder.

    Args:
        cfg: Changed in place.
        show: Show them in a window.
        show_dir: Folder for pictures of them.
        interval: Show every n-th sample.
        wait_time: Seconds to show each window.

    Raises:
        ValueError: If the config lacks the hook that draws.
    """
    hook = cfg.default_hooks.get('visualization')
    if hook is None:
        raise ValueError('--show and --show-dir need a hook that draws: set default_hooks.'
                         'visualization in the config, for mmpretrain dict(type='
                         '\'VisualizationHook\').')
    hook.update(show=show, wait_time=wait_time, interval=interval)
    # mmdet would look for a relative one in the folder of the run.
    show_dir = None if show_dir is None else os.path.abspath(show_dir)
    if scope_of(cfg) not in _DENSE_SCOPES:
        hook.update(enable=True, out_dir=show_dir)
        return
    hook.draw = True
    if show_dir is not None and scope_of(cfg) == 'mmdet':
        hook.test_out_dir = show_dir
    elif show_dir is not None:
        cfg.visualizer.save_dir = show_dir


def add_test_time_augmentation(cfg: Config) -> None:
    """Test on flipped images as well, unless the config describes another way.

    Raises:
        ValueError: If it does not, in a library without a default; for a model with masks in mmdet,
            which cannot merge them.
    """
    if scope_of(cfg) == 'mmdet' and cfg.model.get('roi_head', {}).get('mask_head'):
        raise ValueError('--tta: mmdet merges the boxes of several views, but no masks. Leave '
                         '--tta out, or the mask head.')
    if 'tta_model' not in cfg or 'tta_pipeline' not in cfg:
        if scope_of(cfg) == 'mmseg':
            raise ValueError('--tta expects tta_model and tta_pipeline in the config, as '
                             'configs/mmseg/_base_/ade20k_512.py has them.')
        cfg.setdefault('tta_model', _tta_model(cfg))
        cfg.setdefault('tta_pipeline', _flipping_pipeline(cfg))
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline


class _DumpWhole(DumpResults):

    def compute_metrics(self, results: list) -> dict:
        dump_whole(results, self.out_file_path)
        print_log(f'The predictions are in {self.out_file_path}.', 'current')
        return {}


def prediction_dump(cfg: Config, path: str) -> DumpResults:
    """The metric that writes all predictions to a file; masks of mmdet as run-length code."""
    if scope_of(cfg) != 'mmdet':
        return _DumpWhole(out_file_path=path)
    from mmdet.evaluation import DumpDetResults

    class DumpWholeDet(_DumpWhole, DumpDetResults):
        pass

    return DumpWholeDet(out_file_path=path)


def dump_whole(content: Any, path: str) -> None:
    """Write values as mmengine's ``dump`` does, a local file whole or not at all.

    Raises:
        OSError: If that fails, for example on a full disk; an earlier file is still there.
    """
    is_local = isinstance(get_file_backend(path), LocalBackend)
    mmengine.dump(content, path, backend_args=dict(backend='addp_atomic') if is_local else None)


def _tta_model(cfg: Config) -> dict:
    if scope_of(cfg) == 'mmdet':
        nms = dict(type='nms', iou_threshold=0.5)       # of mmdet's own tool
        return dict(type='DetTTAModel', tta_cfg=dict(nms=nms, max_per_img=100))
    return dict(type='mmpretrain.AverageClsScoreTTA')


def _flipping_pipeline(cfg: Config) -> list[dict]:
    """The pipeline of the test with a mirrored view.

    mmdet mirrors boxes back by the size of the picture: what is filled up stays on the right.
    """
    *pipeline, last = deepcopy(cfg.test_dataloader.dataset.pipeline)
    flips = [dict(type='RandomFlip', prob=0.), dict(type='RandomFlip', prob=1.)]
    start = len(pipeline)
    if scope_of(cfg) == 'mmdet':
        start = next((i for i, transform in enumerate(pipeline)
                      if str(transform['type']).rpartition('.')[2] == 'Pad'), start)
        last = dict(type='PackDetInputs', meta_keys=(
            'img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'flip',
            'flip_direction'))
    views = [flips, *([transform] for transform in pipeline[start:]), [last]]
    return [*pipeline[:start], dict(type='TestTimeAug', transforms=views)]
