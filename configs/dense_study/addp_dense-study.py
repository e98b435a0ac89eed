# ADDP as in the paper, at the study's size. What was changed, one thing at a time, is listed in
# addp_mm/studies/dense_pretraining.
_base_ = '_base_/pictures.py'

model = dict(
    type='ADDP',
    data_preprocessor=dict(
        type='ADDPDataPreprocessor',
        tokenizer=dict(
            model={{_base_.tokenizer}},
            checkpoint='work_dirs/dense_study/vqgan/epoch_22.pth',
            dtype='bfloat16',  # three times as fast on CPUs that know it
            channels_last=True),
        token_predictor=dict(
            model={{_base_.token_predictor}},
            checkpoint='work_dirs/dense_study/mage/epoch_20.pth',
            dtype='bfloat16'),
        diffusion=dict(
            type='DiffusionProcess',
            mapping='weighted_sum',
            condition='z_t+d',
            mask_ratio=dict(type='MaskRatioDistribution'))),
    backbone=dict(type='ADDPViT', drop_rate=0.1, **_base_.encoder),
    neck=dict(type='TokenDecoder', embed_dims=96, depth=2, num_heads=4),
    head=dict(type='TokenHead', loss=dict(type='MaskedTokenLoss', target='soft')))

max_epochs, warmup_epochs = 6, 1
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=warmup_epochs, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=warmup_epochs,
        end=max_epochs,
        convert_to_iter_based=True)
]
work_dir = 'work_dirs/dense_study/addp'
