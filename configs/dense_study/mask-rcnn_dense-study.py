# The detector of the study: that of the nuclei, for half as long. About three minutes on one CPU
# core.
_base_ = 'mask-rcnn-600_dense-study.py'

max_iters = 300
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = _base_.param_scheduler
param_scheduler[1].end = max_iters
default_hooks = dict(checkpoint=dict(interval=max_iters))
work_dir = 'work_dirs/dense_study/mask-rcnn'
