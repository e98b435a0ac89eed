# Nuclei, found one by one: ViTDet with ViT-B on crops of 512 pixels, filled up where an image is
# smaller. Made for one GPU of 24 GB; no run was made.
#   python tools/train.py configs/nuclei/mask-rcnn_vitdet-b_nuclei-512.py
_base_ = '../mmdet/mask-rcnn_vitdet-b_100e.py'

data_root = 'data/nuclei/'
crop, max_objects = (512, 512), 400
metainfo = dict(classes=('nucleus', ))
model = dict(
    backbone=dict(
        img_size=crop[0],
        pretrain_img_size=256,
        init_cfg=dict(checkpoint='work_dirs/nuclei/addp-b_256/epoch_100.pth')),
    rpn_head=dict(anchor_generator=dict(scales=[4])),  # nuclei of 16 pixels and more
    roi_head=dict(bbox_head=dict(num_classes=1), mask_head=dict(num_classes=1)),
    test_cfg=dict(rcnn=dict(max_per_img=max_objects)))
train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/train.json',
        data_prefix=dict(img='images/'),
        metainfo=metainfo,
        filter_cfg=dict(filter_empty_gt=True, min_size=0),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
            # Nuclei of a few pixels are many: they are enlarged to the patches of 16.
            dict(type='RandomResize', scale=crop, ratio_range=(1.0, 3.0), keep_ratio=True),
            dict(type='RandomCrop', crop_size=crop, recompute_bbox=True),
            dict(type='FilterAnnotations', min_gt_bbox_wh=(2, 2)),
            dict(type='RandomFlip', prob=0.75, direction=['horizontal', 'vertical', 'diagonal']),
            dict(type='PackDetInputs')
        ]))
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/val.json',
        data_prefix=dict(img='images/'),
        metainfo=metainfo,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(1024, 1024), keep_ratio=True),
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
            dict(
                type='PackDetInputs',
                meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))
        ]))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/val.json')
test_evaluator = val_evaluator

max_iters, warmup_iters = 5000, 250
auto_scale_lr = dict(base_batch_size=4)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
train_cfg = dict(max_iters=max_iters, val_interval=1000)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, end=warmup_iters),
    dict(type='CosineAnnealingLR', begin=warmup_iters, end=max_iters, by_epoch=False)
]
default_hooks = dict(checkpoint=dict(interval=1000))
work_dir = 'work_dirs/nuclei/mask-rcnn_vitdet-b'
