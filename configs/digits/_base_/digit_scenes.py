# What training on the digit scenes shares, for mmdet and mmseg: data, encoder, optimizer. All
# numbers are our choice, made for two minutes on one CPU core. Written by
# tools/make_digit_scenes.py.
data_root = 'work_dirs/digits/scenes/'
backbone = dict(  # of configs/digits/addp.py
    arch=dict(embed_dims=96, num_layers=4, num_heads=4, feedforward_channels=384),
    patch_size=8,
    drop_path_rate=0.,
    init_cfg=dict(
        type='Pretrained', checkpoint='work_dirs/digits/addp/epoch_45.pth', prefix='backbone.'))
max_iters, warmup_iters = 500, 50
train_dataloader = dict(batch_size=8, num_workers=0, persistent_workers=False)
val_dataloader = dict(batch_size=10, num_workers=0, persistent_workers=False)
optim_wrapper = dict(
    type='mmpretrain.PortableAmpOptimWrapper',
    dtype='float32',
    constructor='mmpretrain.BackboneLayerDecayConstructor',
    optimizer=dict(type='AdamW', lr=2e-3, betas=(0.9, 0.999), weight_decay=0.05),
    paramwise_cfg=dict(
        layer_decay_rate=0.8, flat_decay_mult=0., custom_keys=dict(pos_embed=dict(decay_mult=0.))),
    clip_grad=dict(max_norm=3.0))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=warmup_iters),
    dict(type='CosineAnnealingLR', begin=warmup_iters, end=max_iters, by_epoch=False)
]
randomness = dict(seed=0)
