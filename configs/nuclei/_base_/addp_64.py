# ADDP at the size of nuclei_64.py, as in the paper.
_base_ = 'nuclei_64.py'

model = dict(
    type='ADDP',
    data_preprocessor=dict(
        type='ADDPDataPreprocessor',
        tokenizer=dict(
            model={{_base_.tokenizer}}, checkpoint='work_dirs/nuclei/vqgan/epoch_24.pth'),
        token_predictor=dict(
            model={{_base_.token_predictor}}, checkpoint='work_dirs/nuclei/mage/epoch_40.pth'),
        diffusion=dict(
            type='DiffusionProcess',
            mapping='weighted_sum',
            condition='z_t+d',
            mask_ratio=dict(type='MaskRatioDistribution'))),
    backbone=dict(
        type='ADDPViT',
        arch=dict(embed_dims=96, num_layers=4, num_heads=4, feedforward_channels=384),
        patch_size=8),
    neck=dict(type='TokenDecoder', embed_dims=96, depth=2, num_heads=4),
    head=dict(type='TokenHead', loss=dict(type='MaskedTokenLoss', target='soft')),
    # A lower temperature keeps the surest tokens first: background, and nothing but background.
    sampler=dict(num_steps=16, schedule='linear', temperature=4.0, top_p=1.0))
val_evaluator = dict(type='MaskedTokenCrossEntropy')

max_epochs, warmup_epochs = 40, 2
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=8)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=warmup_epochs, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=warmup_epochs,
        end=max_epochs,
        convert_to_iter_based=True)
]
