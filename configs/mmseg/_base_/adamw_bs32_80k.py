# 80,000 iterations of 32 images: 127 epochs of ADE20K (paper Tab. 19).
max_iters, warmup_iters = 80_000, 1500  # paper Tab. 19
auto_scale_lr = dict(base_batch_size=32, enable=False)

optim_wrapper = dict(
    type='mmpretrain.PortableAmpOptimWrapper',  # mixed precision; float32 without a GPU
    dtype='bfloat16',
    constructor='mmpretrain.BackboneLayerDecayConstructor',
    optimizer=dict(
        type='AdamW',
        lr=1e-4,  # the paper's is lost. Our choice: MAE's for 16 images, the lower end
        betas=(0.9, 0.999),  # paper Tab. 19
        weight_decay=0.05),  # paper Tab. 19
    paramwise_cfg=dict(
        layer_decay_rate=0.85,  # paper Tab. 19
        flat_decay_mult=0.,  # MAE, BEiT
        custom_keys=dict(pos_embed=dict(decay_mult=0.), cls_token=dict(decay_mult=0.))))

train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=8000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, end=warmup_iters),  # MAE, BEiT
    dict(  # paper Tab. 19: cosine
        type='CosineAnnealingLR',
        begin=warmup_iters,
        end=max_iters,
        by_epoch=False)
]
