# What the pre-trainings of the study share: crops of 64 pixels at the pictures' own scale, and
# sizes for one CPU core. All numbers in this folder are our choice. The data are written by
# tools/prepare_annotations.py.
_base_ = '../../_base_/default_runtime.py'

image_size = 64
encoder = dict(
    arch=dict(embed_dims=96, num_layers=4, num_heads=4, feedforward_channels=384), patch_size=8)
tokenizer = dict(  # 8 x 8 tokens
    type='VQGAN',
    image_size=image_size,
    num_codes=128,
    code_dims=32,
    channels=32,
    channel_mult=(1, 1, 2, 2),
    num_res_blocks=1,
    norm=dict(type='LN2d'),
    shortcut='input')
token_predictor = dict(
    type='MAGE',
    arch=dict(embed_dims=96, depth=4, num_heads=4),
    decoder_depth=2,
    decoder_heads=4)

data_root = 'work_dirs/nuclei/'
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='RepeatDataset',
        times=4,  # 466 pictures: 29 batches of 64 make an epoch
        dataset=dict(
            type='ImageFolder',
            data_root=data_root,
            data_prefix='images/training',
            pipeline=[
                dict(type='SeedTransforms'),
                dict(type='LoadRobustImage'),
                dict(type='RandomCrop', crop_size=image_size),
                dict(type='RandomFlip', prob=0.5),
                dict(type='RandomFlip', prob=0.5, direction='vertical'),
                dict(type='PackInputs')
            ])))
val_dataloader = dict(
    batch_size=99,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='ImageFolder',
        data_root=data_root,
        data_prefix='images/validation',
        test_mode=True,
        pipeline=[
            dict(type='LoadRobustImage'),
            dict(type='CenterCrop', crop_size=image_size),
            dict(type='PackInputs')
        ]))
val_cfg = dict()
val_evaluator = dict(type='MaskedTokenCrossEntropy')

optim_wrapper = dict(
    type='OptimWrapper',  # float32
    optimizer=dict(type='AdamW', lr=2e-3, betas=(0.9, 0.95), weight_decay=0.05),
    constructor='GroupedOptimWrapperConstructor',
    # As for the digits: tables and codes of N(0, 0.02) need higher rates in a short training.
    paramwise_cfg=dict(
        flat_decay_mult=0.,
        custom_keys=dict(
            pos_embed=dict(lr_mult=10., decay_mult=0.),
            token_embed=dict(lr_mult=5., decay_mult=0.))),
    clip_grad=dict(max_norm=3.0))
default_hooks = dict(checkpoint=dict(interval=5, max_keep_ckpts=1))
