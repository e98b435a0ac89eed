# Nuclei against background: UperNet at a small size on crops of 128 pixels, for two CPU cores and
# some minutes.
#   python tools/train.py configs/nuclei/upernet_nuclei-128.py
# From scratch: --cfg-options model.backbone.init_cfg=None
_base_ = [
    '../mmseg/_base_/upernet_vit-small.py', '../mmseg/_base_/runtime.py',
    '../_base_/schedules/dense_small.py', '_base_/nuclei_ade.py'
]

crop = (128, 128)
model = dict(
    data_preprocessor=dict(size=crop),
    backbone=dict(
        img_size=crop[0], init_cfg=dict(checkpoint='work_dirs/nuclei/addp/epoch_40.pth')),
    decode_head=dict(num_classes=2),
    auxiliary_head=dict(num_classes=2),
    test_cfg=dict(crop_size=crop, stride=(96, 96)))
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='addp_pictures')),
    dict(type='LoadAnnotations'),
    dict(type='RandomCrop', crop_size=crop),
    *_base_.flips,
    dict(type='PackSegInputs')
]
train_dataloader = dict(
    batch_size=8, num_workers=0, persistent_workers=False, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader

max_iters = 400
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.9))
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = _base_.param_scheduler
param_scheduler[1].end = max_iters
default_hooks = dict(checkpoint=dict(interval=max_iters))
work_dir = 'work_dirs/nuclei/upernet'
