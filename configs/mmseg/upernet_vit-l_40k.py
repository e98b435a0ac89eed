# UperNet, ADDP ViT-L, ADE20K (paper Tab. 2 and 19: 54.3 mIoU; no run was made with this code).
_base_ = 'upernet_vit-b_80k.py'

model = dict(
    backbone=dict(
        arch='large',
        out_indices=(7, 11, 15, 23),  # BEiT
        init_cfg=dict(checkpoint='checkpoints/addp_large.pth')),
    neck=dict(embed_dim=1024),
    decode_head=dict(in_channels=[1024] * 4, channels=1024),
    auxiliary_head=dict(in_channels=1024))

max_iters, warmup_iters = 40_000, 1500  # paper Tab. 19
optim_wrapper = dict(optimizer=dict(lr=5e-5))  # lost, but not that of ViT-B. Our choice
train_cfg = dict(max_iters=max_iters, val_interval=4000)
default_hooks = dict(checkpoint=dict(interval=4000))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, end=warmup_iters),
    dict(type='CosineAnnealingLR', begin=warmup_iters, end=max_iters, by_epoch=False)
]
