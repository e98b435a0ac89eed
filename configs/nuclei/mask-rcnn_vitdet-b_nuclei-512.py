# Nuclei, found one by one: ViTDet with ViT-B on crops of 512 pixels. Made for one GPU of 24 GB; no
# run was made.
#   python tools/train.py configs/nuclei/mask-rcnn_vitdet-b_nuclei-512.py
_base_ = [
    '../mmdet/_base_/mask-rcnn_vitdet.py', '../mmdet/_base_/adamw_bs128_100e.py',
    '../mmdet/_base_/runtime.py', '_base_/nuclei_coco.py'
]

crop = (512, 512)
model = dict(
    backbone=dict(
        img_size=crop[0], init_cfg=dict(checkpoint='work_dirs/nuclei/addp-b_256/epoch_100.pth')),
    rpn_head=dict(anchor_generator=dict(scales=[4])),  # nuclei of 16 pixels and more
    roi_head=dict(bbox_head=dict(num_classes=1), mask_head=dict(num_classes=1)),
    test_cfg=dict(rcnn=dict(max_per_img=_base_.max_objects)))
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='addp_pictures')),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    # Nuclei of a few pixels are many: they are enlarged to the patches of 16.
    dict(type='RandomResize', scale=crop, ratio_range=(1.0, 3.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop, recompute_bbox=True),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(2, 2)),
    _base_.flip,
    dict(type='PackDetInputs')
]
train_dataloader = dict(
    batch_size=4, num_workers=4, persistent_workers=True, dataset=dict(pipeline=train_pipeline))
test_pipeline = _base_.test_pipeline
test_pipeline[1] = dict(type='Resize', scale=(1024, 1024), keep_ratio=True)
val_dataloader = dict(
    num_workers=4, persistent_workers=True, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

max_iters = 5000
auto_scale_lr = dict(base_batch_size=4)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
train_cfg = dict(max_iters=max_iters, val_interval=1000)
param_scheduler = _base_.param_scheduler
param_scheduler[1].end = max_iters
default_hooks = dict(checkpoint=dict(interval=1000))
work_dir = 'work_dirs/nuclei/mask-rcnn_vitdet-b'
