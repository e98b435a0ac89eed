# Linear probing at an effective batch of 16384 (paper Tab. 16; the rest: MAE's release).
optim_wrapper = dict(
    type='PortableAmpOptimWrapper',
    dtype='bfloat16',  # our choice; MAE: float16
    optimizer=dict(
        type='LARS',
        lr=6.4,  # paper Tab. 16: base rate 0.1 per 256 images
        momentum=0.9,
        weight_decay=0.,
        eta=0.001),
    paramwise_cfg=dict(custom_keys={'head.fc.bias': dict(lars_exclude=True)}))  # MAE: not 1-D ones
auto_scale_lr = dict(base_batch_size=16384, enable=False)

train_cfg = dict(by_epoch=True, max_epochs=90, val_interval=5)  # paper Tab. 16
param_scheduler = [  # paper Tab. 16: 10 epochs of warm-up, cosine; to 0 as MAE
    dict(type='LinearLR', start_factor=1e-6, end=10, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=10, end=90, convert_to_iter_based=True)
]
