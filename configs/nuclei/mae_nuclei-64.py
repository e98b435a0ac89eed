# Stage 3: mmpretrain's MAE, from whose encoder addp_nuclei-64.py starts.
_base_ = '_base_/nuclei_64.py'

model = dict(
    type='MAETraining',
    data_preprocessor=dict(
        type='SelfSupDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True),
    backbone=dict(
        type='MAEViT',
        arch=dict(embed_dims=96, num_layers=4, num_heads=4, feedforward_channels=384),
        img_size=64,
        patch_size=8,
        mask_ratio=0.75),
    neck=dict(
        type='MAEPretrainDecoder',
        num_patches=64,
        patch_size=8,
        embed_dim=96,
        decoder_embed_dim=96,
        decoder_depth=2,
        decoder_num_heads=4),
    head=dict(
        type='MAEPretrainHead',
        norm_pix=True,
        patch_size=8,
        loss=dict(type='PixelReconstructionLoss', criterion='L2')))
train_dataloader = dict(batch_size=64, dataset=dict(times=4))
val_evaluator = dict(type='HiddenPixels')

max_epochs, warmup_epochs = 40, 3
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=8)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=warmup_epochs, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=warmup_epochs,
        end=max_epochs,
        convert_to_iter_based=True)
]
optim_wrapper = dict(
    constructor='DefaultOptimWrapperConstructor',
    paramwise_cfg=dict(
        _delete_=True,
        custom_keys=dict(  # mmpretrain's recipe
            ln=dict(decay_mult=0.),
            bias=dict(decay_mult=0.),
            pos_embed=dict(decay_mult=0.),
            mask_token=dict(decay_mult=0.),
            cls_token=dict(decay_mult=0.))))
work_dir = 'work_dirs/nuclei/mae'
