# The detector of the study for longer: that of the nuclei.
_base_ = '../nuclei/mask-rcnn_nuclei-128.py'

model = dict(
    backbone=dict(init_cfg=dict(checkpoint='work_dirs/dense_study/addp/epoch_10.pth')))
train_dataloader = dict(
    dataset=dict(filter_cfg=dict(filter_empty_gt=False)))  # `indices` count all pictures
default_hooks = dict(checkpoint=dict(max_keep_ckpts=1))
work_dir = 'work_dirs/dense_study/mask-rcnn-600'
