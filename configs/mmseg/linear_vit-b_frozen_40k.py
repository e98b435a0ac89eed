# What the features themselves are worth: a linear layer on the tokens of the frozen encoder, on
# ADE20K, as DINOv2 (arXiv 2304.07193) evaluates features; no run was made with this code. One GPU
# is enough: tools/train.py configs/mmseg/linear_vit-b_frozen_40k.py
_base_ = ['_base_/upernet_vit.py', '_base_/ade20k_512.py', '_base_/runtime.py']

model = dict(
    backbone=dict(
        out_indices=(11, ),  # DINOv2: the last layer, or the last four joined
        frozen_stages=12,
        drop_path_rate=0.,
        pre_norm=True,  # frozen features are read as they were pre-trained
        final_norm=True,
        layer_scale_init_value=0.),
    neck=None,
    decode_head=dict(
        _delete_=True,
        type='FCNHead',
        in_channels=768,
        in_index=0,
        channels=768,
        num_convs=0,  # the classifier alone
        concat_input=False,
        dropout_ratio=0.,
        num_classes=150,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss')),
    auxiliary_head=None)
train_dataloader = dict(batch_size=16)  # DINOv2

max_iters, warmup_iters = 40_000, 1500  # DINOv2
auto_scale_lr = dict(base_batch_size=16, enable=False)
optim_wrapper = dict(
    type='mmpretrain.PortableAmpOptimWrapper',  # mixed precision; float32 without a GPU
    dtype='bfloat16',
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.999), weight_decay=1e-4))  # DINOv2
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=8000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, end=warmup_iters),  # DINOv2
    dict(  # DINOv2
        type='PolyLR',
        power=1.0,
        eta_min=0.,
        begin=warmup_iters,
        end=max_iters,
        by_epoch=False)
]
