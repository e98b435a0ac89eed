"""torchvision's operators in the place of mmcv's compiled ones: the same values and gradients."""
from __future__ import annotations

import importlib
import importlib.util
import inspect
import itertools
import logging
import pkgutil
import subprocess
import sys
from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch

from addp_mm.dense import mmcv_ops

ops = importlib.import_module('mmcv.ops')      # after addp_mm, which makes it importable

ROOT = Path(__file__).resolve().parents[2]
DTYPES = dict(float32=torch.float32, float16=torch.float16, bfloat16=torch.bfloat16)
# The compiled operations compute float16 in float16, the stand-in in float32.
TOLERANCE = dict(float32=1e-5, float16=1e-2, bfloat16=1e-6)
SETTINGS = list(itertools.product(DTYPES, (True, False), (0, 2)))


@pytest.fixture(scope='module')
def recorded() -> dict[str, torch.Tensor]:
    """What the compiled operations computed: see record_mmcv_ops.py."""
    with np.load(ROOT / 'tests' / 'data' / 'mmcv_ops.npz') as file:
        return {name: torch.from_numpy(file[name]) for name in file.files if name != 'mmcv'}


@pytest.fixture(autouse=True)
def operations(monkeypatch: pytest.MonkeyPatch) -> mmcv_ops._Operations:
    """The stand-in, under mmcv's functions even where mmcv was compiled."""
    module = mmcv_ops._Operations('mmcv._ext')
    for name in ('nms', 'roi_align', 'deform_conv'):
        monkeypatch.setattr(sys.modules[f'mmcv.ops.{name}'], 'ext_module', module)
    return module


def bare_python(code: str) -> str:
    """What code prints in a fresh python."""
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize('threshold', [0., 0.3, 0.5, 0.7])
def test_nms(recorded, threshold):
    boxes, scores = recorded['boxes'], recorded['scores']
    found, kept = ops.nms(boxes, scores, threshold)
    assert kept.tolist() == recorded[f'kept_{threshold}'].tolist() and len(kept) < len(boxes)
    assert torch.equal(found, torch.cat([boxes[kept], scores[kept, None]], dim=1))


def test_batched_nms(recorded):
    _, kept = ops.batched_nms(recorded['boxes'], recorded['scores'], recorded['classes'],
                                   dict(type='nms', iou_threshold=.5))
    assert kept.tolist() == recorded['batched'].tolist()


def test_nms_of_nothing_and_under_autocast(recorded):
    _, kept = ops.nms(torch.zeros(0, 4), torch.zeros(0), .5)
    assert kept.shape == (0,) and kept.dtype == torch.int64
    with torch.autocast('cpu', torch.bfloat16):
        half = recorded['boxes'].bfloat16()
        _, kept = ops.nms(half, recorded['scores'], .5)
    assert kept.tolist() == ops.nms(half.float(), recorded['scores'], .5)[1].tolist()


@pytest.mark.parametrize('dtype, aligned, ratio', SETTINGS)
@pytest.mark.parametrize('autocast', [False, True])
def test_roi_align(recorded, dtype, aligned, ratio, autocast):
    features, rois, grad = (recorded[name].to(DTYPES[dtype], copy=True)
                            for name in ('features', 'rois', 'grad'))
    features.requires_grad_()
    low = torch.bfloat16 if dtype == 'float32' else DTYPES[dtype]
    with torch.autocast('cpu', low, enabled=autocast):
        out = ops.RoIAlign((3, 2), .25, ratio, aligned=aligned)(features, rois)
    out.backward(grad)
    assert out.dtype == features.grad.dtype == DTYPES[dtype]
    key, tolerance = f'{dtype}_{aligned}_{ratio}', TOLERANCE[dtype]
    torch.testing.assert_close(out.float(), recorded[f'out_{key}'], rtol=tolerance,
                               atol=tolerance)
    torch.testing.assert_close(features.grad.float(), recorded[f'grad_{key}'], rtol=tolerance,
                               atol=tolerance)


@pytest.mark.gpu
def test_a_gpu_computes_the_same(recorded, gpu):
    on_gpu = {name: value.to(gpu) for name, value in recorded.items()}
    _, kept = ops.nms(on_gpu['boxes'], on_gpu['scores'], .5)
    assert kept.tolist() == recorded['kept_0.5'].tolist()
    _, kept = ops.batched_nms(on_gpu['boxes'], on_gpu['scores'], on_gpu['classes'],
                              dict(type='nms', iou_threshold=.5))
    assert kept.tolist() == recorded['batched'].tolist()
    for dtype, aligned, ratio in SETTINGS:
        features, rois, grad = (on_gpu[name].to(DTYPES[dtype], copy=True)
                                for name in ('features', 'rois', 'grad'))
        out = ops.RoIAlign((3, 2), .25, ratio, aligned=aligned)(features.requires_grad_(), rois)
        out.backward(grad)
        # Sums in another order may round to the next number of half precision.
        key, tolerance = f'{dtype}_{aligned}_{ratio}', 1e-4 if dtype == 'float32' else 1e-2
        torch.testing.assert_close(out.float().cpu(), recorded[f'out_{key}'], rtol=tolerance,
                                   atol=tolerance)
        torch.testing.assert_close(features.grad.float().cpu(), recorded[f'grad_{key}'],
                                   rtol=tolerance, atol=tolerance)


def test_settings_differ(recorded):
    outs = [recorded[f'out_float32_{aligned}_{ratio}'] for _, aligned, ratio in SETTINGS[:4]]
    assert all((a - b).abs().max() > .01 for a, b in itertools.combinations(outs, 2))


def test_roi_align_of_nothing():
    features = torch.rand(1, 2, 5, 5, requires_grad=True)
    out = ops.RoIAlign(7)(features, torch.zeros(0, 5))
    out.sum().backward()
    assert out.shape == (0, 2, 7, 7) and not features.grad.any()


@pytest.mark.parametrize('call, name', [
    (lambda: ops.nms(torch.rand(2, 4), torch.rand(2), .5, offset=1), 'nms with offset=1'),
    (lambda: ops.soft_nms(torch.rand(2, 4), torch.rand(2)), 'softnms'),
    (lambda: ops.RoIAlign(2, pool_mode='max')(torch.rand(1, 1, 4, 4), torch.zeros(1, 5)),
     'RoIAlign with pool_mode="max"'),
    (lambda: ops.deform_conv2d(torch.rand(1, 1, 4, 4), torch.zeros(1, 18, 2, 2),
                                    torch.rand(1, 1, 3, 3)), 'deform_conv_forward')])
def test_what_is_missing_says_so(call, name):
    with pytest.raises(NotImplementedError,
                       match=f'{name} needs mmcv with its compiled operations: '):
        call()


def test_module_can_be_looked_at(operations):
    assert callable(operations.anything) and operations.get_compiler_version() == 'n/a'
    assert not hasattr(operations, '__wrapped__') and not hasattr(operations, '_private')
    assert inspect.getmodule(inspect.currentframe()) is sys.modules[__name__]


def test_it_is_said_once(monkeypatch, recorded):
    said = []
    monkeypatch.setattr(mmcv_ops, 'print_log', lambda *words: said.append(words))
    mmcv_ops._say_once.cache_clear()
    for _ in range(2):
        ops.nms(recorded['boxes'], recorded['scores'], .5)
    ((text, logger, level),) = said
    assert 'torchvision' in text and (logger, level) == ('current', logging.INFO)


@pytest.mark.skipif(mmcv_ops.PathFinder.find_spec('mmcv._ext', mmcv.__path__) is not None,
                    reason='mmcv was compiled here')
def test_stand_in_is_registered_as_a_module():
    spec = importlib.util.find_spec('mmcv._ext')
    assert spec.origin == mmcv_ops.__file__
    assert importlib.import_module('mmcv._ext') is mmcv._ext is sys.modules['mmcv._ext']
    # mmengine's question for compiled operations gets the answer that it gets without addp_mm.
    if sys.version_info < (3, 14):
        assert pkgutil.find_loader('mmcv._ext') is None


@pytest.mark.slow
def test_mmdet_can_be_imported_after_mmpretrain():
    # mmpretrain tries mmdet, and fails half-way.
    pytest.importorskip('mmdet')
    out = bare_python('import mmpretrain.models, addp_mm, mmdet.models\n'
                      'print(mmdet.models.MaskRCNN)')
    assert out.endswith("<class 'mmdet.models.detectors.mask_rcnn.MaskRCNN'>\n")


def test_compiled_operations_are_left_alone(tmp_path, monkeypatch):
    (tmp_path / '_ext.py').write_text('def nms(): return "compiled"')
    monkeypatch.setattr(mmcv, '__path__', [str(tmp_path)])
    monkeypatch.setattr(mmcv, '_ext', None, raising=False)
    monkeypatch.delitem(sys.modules, 'mmcv._ext')
    mmcv_ops.stand_in()
    assert 'mmcv._ext' not in sys.modules
    monkeypatch.setitem(sys.modules, 'mmcv._ext', None)     # put back afterwards
    del sys.modules['mmcv._ext']
    assert importlib.import_module('mmcv._ext').nms() == 'compiled'
