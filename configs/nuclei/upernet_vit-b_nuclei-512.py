# Nuclei against background: UperNet with ViT-B on crops of 512 pixels. Made for one GPU of 24 GB;
# no run was made.
#   python tools/train.py configs/nuclei/upernet_vit-b_nuclei-512.py
_base_ = [
    '../mmseg/_base_/upernet_vit.py', '../mmseg/_base_/adamw_bs32_80k.py',
    '../mmseg/_base_/runtime.py', '_base_/nuclei_ade.py'
]

crop = (512, 512)
model = dict(
    backbone=dict(init_cfg=dict(checkpoint='work_dirs/nuclei/addp-b_256/epoch_100.pth')),
    decode_head=dict(num_classes=2),
    auxiliary_head=dict(num_classes=2))
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='addp_pictures')),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=crop, ratio_range=(1.0, 3.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop),
    *_base_.flips,
    dict(type='PackSegInputs')
]
train_dataloader = dict(
    batch_size=8, num_workers=4, persistent_workers=True, dataset=dict(pipeline=train_pipeline))
test_pipeline = _base_.test_pipeline
test_pipeline.insert(1, dict(type='Resize', scale=(1024, 1024), keep_ratio=True))
val_dataloader = dict(
    num_workers=4, persistent_workers=True, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

max_iters = 4000
auto_scale_lr = dict(base_batch_size=8)
train_cfg = dict(max_iters=max_iters, val_interval=1000)
param_scheduler = _base_.param_scheduler
param_scheduler[1].end = max_iters
param_scheduler[0].end = param_scheduler[1].begin = 200
default_hooks = dict(checkpoint=dict(interval=1000))
work_dir = 'work_dirs/nuclei/upernet_vit-b'
