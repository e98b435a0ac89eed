# The same detector for twice as long.
_base_ = 'mask-rcnn_dense-study.py'

max_iters = 600
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = _base_.param_scheduler
param_scheduler[1].end = max_iters
default_hooks = dict(checkpoint=dict(interval=max_iters))
work_dir = 'work_dirs/dense_study/mask-rcnn-600'
