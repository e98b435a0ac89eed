# The detector of the study: that of the nuclei, for half as long. About three minutes on one CPU
# core.
_base_ = '../nuclei/mask-rcnn_nuclei-128.py'

max_iters = 300
model = dict(
    backbone=dict(init_cfg=dict(checkpoint='work_dirs/dense_study/addp/epoch_10.pth')))
train_dataloader = dict(
    dataset=dict(filter_cfg=dict(filter_empty_gt=False)))  # `indices` count all pictures
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = _base_.param_scheduler
param_scheduler[1].end = max_iters
default_hooks = dict(checkpoint=dict(interval=max_iters, max_keep_ckpts=1))
work_dir = 'work_dirs/dense_study/mask-rcnn'
