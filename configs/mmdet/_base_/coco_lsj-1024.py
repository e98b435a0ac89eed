# COCO 2017 at 1024 pixels with large-scale jittering (paper Tab. 18, ViTDet): data/coco/train2017,
# data/coco/val2017, data/coco/annotations.
image_size = (1024, 1024)
# The mean colour, in BGR: zeros after the normalisation, as detectron2 pads.
padding = dict(type='Pad', size=image_size, pad_val=dict(img=(104, 116, 124)))
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='addp_pictures')),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomResize', scale=image_size, ratio_range=(0.1, 2.0), keep_ratio=True),
    dict(
        type='RandomCrop',
        crop_size=image_size,
        recompute_bbox=True,
        allow_negative_crop=True),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(1e-2, 1e-2)),
    padding,
    dict(type='PackDetInputs')
]
train_dataloader = dict(
    batch_size=16,  # x 8 GPUs = 128 (paper Tab. 18)
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler'),
    dataset=dict(
        type='CocoDataset',
        data_root='data/coco/',
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=train_pipeline))
test_pipeline = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='addp_pictures')),
    dict(type='Resize', scale=image_size, keep_ratio=True),
    padding,
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))
]
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CocoDataset',
        data_root='data/coco/',
        ann_file='annotations/instances_val2017.json',
        data_prefix=dict(img='val2017/'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(
    type='CocoMetric',
    ann_file='data/coco/annotations/instances_val2017.json',
    metric=['bbox', 'segm'])
test_evaluator = val_evaluator
