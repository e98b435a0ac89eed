# ImageNet-1k with labels at 256 pixels, for classification. data/imagenet/{train,val} hold one
# folder for each of the 1000 classes; a missing one stops the run. Own images: --cfg-options
# {train,val,test}_dataloader.dataset.type=ImageFolder ...dataset.with_label=True
# ...dataset.num_classes=N model.head.num_classes=N (and those of the loss and data_preprocessor).
train_pipeline = [
    dict(type='SeedTransforms'),  # the same crops after an interruption
    dict(  # loading and cropping in one step, as in the pre-training
        type='LoadRobustImage',
        crop=dict(
            type='RandomResizedCrop',
            scale=256,  # reference release
            crop_ratio_range=(0.08, 1.0),
            backend='pillow',
            interpolation='bicubic')),
    dict(type='RandomFlip', prob=0.5),
    dict(  # paper Tab. 15: rand-m9-mstd0.5-inc1; mmpretrain's copy of timm's policies
        type='RandAugment',
        policies='timm_increasing',
        num_policies=2,
        total_level=10,
        magnitude_level=9,
        magnitude_std=0.5,
        hparams=dict(pad_val=[104, 116, 124], interpolation='bicubic')),
    dict(  # paper Tab. 15: 0.25, one box of noise; colours are BGR here
        type='RandomErasing',
        erase_prob=0.25,
        mode='rand',
        min_area_ratio=0.02,
        max_area_ratio=1 / 3,
        fill_color=[103.53, 116.28, 123.675],
        fill_std=[57.375, 57.12, 58.395]),
    dict(type='PackInputs')
]
test_pipeline = [
    dict(type='LoadRobustImage'),
    # Reference release: no margin around the crop above 224 pixels.
    dict(type='ResizeEdge', scale=256, edge='short', backend='pillow', interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=256),
    dict(type='PackInputs')
]

folder = dict(type='ImageNetFolder', data_root='data/imagenet')
loader = dict(num_workers=8, persistent_workers=True, pin_memory=True)
train_dataloader = dict(
    batch_size=128,
    drop_last=True,  # reference release
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(data_prefix='train', pipeline=train_pipeline, **folder),
    **loader)
val_dataloader = dict(
    batch_size=128,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(data_prefix='val', pipeline=test_pipeline, test_mode=True, **folder),
    **loader)
test_dataloader = val_dataloader
val_evaluator = test_evaluator = dict(type='Accuracy', topk=(1, 5))
val_cfg, test_cfg = dict(), dict()
