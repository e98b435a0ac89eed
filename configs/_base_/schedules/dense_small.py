# A short training of a small detector or segmentor on a CPU. All numbers are our choice.
max_iters, warmup_iters = 500, 50
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
