# Nuclei, found one by one: the detector of configs/digits at a small size, on crops of 128 pixels,
# for two CPU cores and some minutes. Needs the environment of detection.
#   python tools/train.py configs/nuclei/mask-rcnn_nuclei-128.py
# From scratch: --cfg-options model.backbone.init_cfg=None
_base_ = '../digits/mask-rcnn.py'

data_root = 'data/nuclei/'
crop, max_objects = (128, 128), 400
metainfo = dict(classes=('nucleus', ))
model = dict(
    backbone=dict(
        img_size=crop[0],
        pretrain_img_size=64,
        init_cfg=dict(checkpoint='work_dirs/nuclei/addp/epoch_40.pth')),
    rpn_head=dict(anchor_generator=dict(scales=[4])),  # nuclei of 8 pixels and more
    roi_head=dict(bbox_head=dict(num_classes=1), mask_head=dict(num_classes=1)),
    train_cfg=dict(rpn_proposal=dict(max_per_img=400), rcnn=dict(sampler=dict(num=64))),
    test_cfg=dict(rpn=dict(max_per_img=1000), rcnn=dict(max_per_img=max_objects)))
train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/train.json',
        data_prefix=dict(img='images/'),
        metainfo=metainfo,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
            dict(type='RandomCrop', crop_size=crop, recompute_bbox=True),
            dict(type='FilterAnnotations', min_gt_bbox_wh=(2, 2)),
            dict(type='RandomFlip', prob=0.75, direction=['horizontal', 'vertical', 'diagonal']),
            dict(type='PackDetInputs')
        ]))
val_dataloader = dict(
    batch_size=1,
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/val.json',
        data_prefix=dict(img='images/'),
        metainfo=metainfo,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
            dict(
                type='PackDetInputs',
                meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))
        ]))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/val.json')
test_evaluator = val_evaluator

max_iters, warmup_iters = 600, 50
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=warmup_iters),
    dict(type='CosineAnnealingLR', begin=warmup_iters, end=max_iters, by_epoch=False)
]
default_hooks = dict(checkpoint=dict(interval=max_iters))
work_dir = 'work_dirs/nuclei/mask-rcnn'
