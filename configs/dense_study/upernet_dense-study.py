# The segmentor of the study: that of the nuclei.
_base_ = '../nuclei/upernet_nuclei-128.py'

model = dict(
    backbone=dict(init_cfg=dict(checkpoint='work_dirs/dense_study/addp/epoch_10.pth')))
default_hooks = dict(checkpoint=dict(max_keep_ckpts=1))
work_dir = 'work_dirs/dense_study/upernet'
