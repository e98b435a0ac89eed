# What the detector and the segmentor of the study share. The rate is that of the head; an encoder's
# layers have lower ones (`layer_decay_rate`).
pretrained = 'work_dirs/dense_study/addp/epoch_6.pth'
max_iters, warmup_iters = 300, 30
train_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False)
val_dataloader = dict(batch_size=1, num_workers=0, persistent_workers=False)
optim_wrapper = dict(
    type='OptimWrapper',  # float32
    constructor='mmpretrain.BackboneLayerDecayConstructor',
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.999), weight_decay=0.05),
    paramwise_cfg=dict(
        layer_decay_rate=0.8, flat_decay_mult=0., custom_keys=dict(pos_embed=dict(decay_mult=0.))),
    clip_grad=dict(max_norm=3.0))
train_cfg = dict(by_epoch=False, max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=warmup_iters),
    dict(type='CosineAnnealingLR', begin=warmup_iters, end=max_iters, by_epoch=False)
]
randomness = dict(seed=0)
