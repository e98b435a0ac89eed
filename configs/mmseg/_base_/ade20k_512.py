# ADE20K at 512 pixels, as MAE and BEiT train on it: data/ade/ADEChallengeData2016.
image_size = (512, 512)
scale = (2048, 512)
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='addp_pictures')),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=scale, ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=image_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs')
]
train_dataloader = dict(
    batch_size=4,  # x 8 GPUs = 32 (paper Tab. 19)
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='ADE20KDataset',  # its annotation value 0, "other", is neither learned nor scored
        data_root='data/ade/ADEChallengeData2016',
        data_prefix=dict(img_path='images/training', seg_map_path='annotations/training'),
        pipeline=train_pipeline))
test_pipeline = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='addp_pictures')),
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')
]
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ADE20KDataset',
        data_root='data/ade/ADEChallengeData2016',
        data_prefix=dict(img_path='images/validation', seg_map_path='annotations/validation'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator

# Multi-scale evaluation: tools/test.py --tta.
tta_model = dict(type='SegTTAModel')
scales = [
    dict(type='Resize', scale=tuple(int(x * ratio) for x in (2048, 512)), keep_ratio=True)
    for ratio in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
]
flips = [dict(type='RandomFlip', prob=0.), dict(type='RandomFlip', prob=1.)]
tta_pipeline = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='addp_pictures')),
    dict(
        type='TestTimeAug',
        transforms=[scales, flips, [dict(type='LoadAnnotations')], [dict(type='PackSegInputs')]])
]
