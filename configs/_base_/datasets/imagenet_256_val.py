# Held-out images at 256 pixels, for scores while something trains. Any folder of images will do.
val_dataloader = dict(
    batch_size=32,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='ImageFolder',
        data_root='data/imagenet',
        data_prefix='val',
        indices=5000,  # our choice: a tenth of the 50,000
        test_mode=True,
        pipeline=[
            dict(type='LoadRobustImage'),
            dict(type='ResizeEdge', scale=256, backend='pillow', interpolation='bicubic'),
            dict(type='CenterCrop', crop_size=256),
            dict(type='PackInputs')
        ]))
val_cfg = dict()
