# Pre-training images at 256 pixels (paper Tab. 14; reference release). Any folder of images will
# do: no labels are read. data/imagenet/train holds ImageNet-1k's 1,281,167 training images.
train_pipeline = [
    dict(type='SeedTransforms'),  # the same crops after an interruption
    # Loading and cropping in one step is faster than in two, with the same boxes; pixels differ by
    # 0.03 of 255 on average (benchmarks/README.md).
    dict(
        type='LoadRobustImage',
        crop=dict(
            type='RandomResizedCrop',
            scale=256,
            crop_ratio_range=(0.2, 1.0),
            backend='pillow',
            interpolation='bicubic')),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInputs')
]

train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    drop_last=True,  # reference release
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='ImageFolder',
        data_root='data/imagenet',
        data_prefix='train',
        pipeline=train_pipeline))
