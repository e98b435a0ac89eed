# Nuclei, found one by one: Mask R-CNN at a small size on crops of 128 pixels, for two CPU cores and
# some minutes.
#   python tools/train.py configs/nuclei/mask-rcnn_nuclei-128.py
# From scratch: --cfg-options model.backbone.init_cfg=None
_base_ = [
    '../mmdet/_base_/mask-rcnn_vitdet-small.py', '../mmdet/_base_/runtime.py',
    '../_base_/schedules/dense_small.py', '_base_/nuclei_coco.py'
]

crop = (128, 128)
model = dict(
    backbone=dict(
        img_size=crop[0],
        pretrain_img_size=64,
        window_size=4,
        init_cfg=dict(checkpoint='work_dirs/nuclei/addp/epoch_40.pth')),
    rpn_head=dict(anchor_generator=dict(scales=[4])),  # nuclei of 8 pixels and more
    roi_head=dict(bbox_head=dict(num_classes=1), mask_head=dict(num_classes=1)),
    train_cfg=dict(rpn_proposal=dict(max_per_img=400), rcnn=dict(sampler=dict(num=64))),
    test_cfg=dict(rcnn=dict(max_per_img=_base_.max_objects)))
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='addp_pictures')),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomCrop', crop_size=crop, recompute_bbox=True),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(2, 2)),
    _base_.flip,
    dict(type='PackDetInputs')
]
train_dataloader = dict(
    batch_size=4, num_workers=0, persistent_workers=False, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader

max_iters = 600
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = _base_.param_scheduler
param_scheduler[1].end = max_iters
default_hooks = dict(checkpoint=dict(interval=max_iters))
work_dir = 'work_dirs/nuclei/mask-rcnn'
