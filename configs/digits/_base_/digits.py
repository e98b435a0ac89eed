# What the three trainings on handwritten digits share: data, sizes, optimizer. `make digits` runs
# them in order; each also runs by itself, first python tools/train.py configs/digits/vqgan.py, then
# mage.py, then addp.py. All numbers are our choice, made for two CPU cores and a few minutes.
_base_ = '../../_base_/default_runtime.py'

tokenizer = dict(  # 0.7 M parameters, stride 8: 4 x 4 tokens
    type='VQGAN',
    image_size=32,
    num_codes=32,  # 128 gain 2 dB and make tokens harder to predict than 1,500 images can teach
    code_dims=16,
    channels=32,
    channel_mult=(1, 2, 2),
    num_res_blocks=1,
    # With these, new start values learn many times as fast as with those of the release.
    patch_size=2,
    norm=dict(type='timm.layers.LayerNorm2d'),
    shortcut='input')
token_predictor = dict(
    type='MAGE',
    arch=dict(embed_dims=96, depth=4, num_heads=4),
    decoder_depth=2,
    decoder_heads=4,
    # So small a network has nothing to spare, and on a CPU dropout takes half of a forward pass.
    drop_rate=0.,
    table_std=0.15)

data_root = 'work_dirs/digits/data'  # written by tools/run_digits.py
train_dataloader = dict(
    batch_size=64,
    num_workers=0,  # loading takes a tenth of an iteration
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='ImageFolder',
        data_root=data_root,
        data_prefix='train',
        pipeline=[
            dict(type='SeedTransforms'),
            dict(type='LoadRobustImage'),
            # Mild, because strokes reach to the border. No flip, which would make other signs.
            dict(
                type='RandomResizedCrop',
                scale=32,
                crop_ratio_range=(0.95, 1.0),
                aspect_ratio_range=(0.95, 1.05),
                backend='pillow',
                interpolation='bicubic'),
            dict(type='PackInputs')
        ]))
val_dataloader = dict(
    batch_size=99,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='ImageFolder',
        data_root=data_root,
        data_prefix='val',
        test_mode=True,
        pipeline=[dict(type='LoadRobustImage'), dict(type='PackInputs')]))
val_cfg = dict()

optim_wrapper = dict(
    type='PortableAmpOptimWrapper',
    dtype='float32',
    optimizer=dict(type='AdamW', lr=2e-3, betas=(0.9, 0.95), weight_decay=0.05),
    constructor='GroupedOptimWrapperConstructor',
    # Start values of N(0, 0.02) are small beside what they are added to: at one rate for all, a
    # third of these short trainings would pass before positions and tokens are told apart.
    paramwise_cfg=dict(
        flat_decay_mult=0.,
        custom_keys=dict(
            pos_embed=dict(lr_mult=10., decay_mult=0.),
            token_embed=dict(lr_mult=5., decay_mult=0.))),
    clip_grad=dict(max_norm=3.0))
default_hooks = dict(checkpoint=dict(interval=2, max_keep_ckpts=1))
