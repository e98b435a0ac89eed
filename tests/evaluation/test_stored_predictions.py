"""Predictions as tools/test.py stores them, and nothing that runs."""
from __future__ import annotations

import os
import pickle
from pathlib import Path

import mmengine
import pytest
import torch
from mmengine.evaluator import DumpResults
from mmpretrain.structures import DataSample

from addp_mm.evaluation.stored_predictions import load_predictions


def test_reads_what_mmengine_dumps(tmp_path: Path):
    scores = torch.rand(3, 5)
    dump = DumpResults(str(tmp_path / 'a.pkl'))
    dump.process({}, [
        DataSample(metainfo=dict(img_shape=(3, 4))).set_pred_score(row).set_pred_label(1)
        .set_gt_label(label).to_dict() for label, row in enumerate(scores)])
    dump.evaluate(3)
    read, labels = load_predictions(tmp_path / 'a.pkl')
    assert torch.equal(read, scores) and labels.tolist() == [0, 1, 2]


class _Program:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path), )


def test_runs_nothing(tmp_path: Path):
    trap = tmp_path / 'trap'
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps([_Program(trap)]))
    with pytest.raises(ValueError, match=r'a.pkl does not hold .*it calls posix.mkdir'):
        load_predictions(tmp_path / 'a.pkl')
    assert not trap.exists()


def test_no_predictions(tmp_path: Path):
    mmengine.dump([dict(pred_score=torch.rand(3))], str(tmp_path / 'a.pkl'))
    with pytest.raises(ValueError, match='predictions of a classifier with labels'):
        load_predictions(tmp_path / 'a.pkl')
    (tmp_path / 'b.pkl').write_bytes(b'')
    with pytest.raises(ValueError, match='b.pkl'):
        load_predictions(tmp_path / 'b.pkl')
    with pytest.raises(FileNotFoundError, match='c.pkl'):
        load_predictions(tmp_path / 'c.pkl')
