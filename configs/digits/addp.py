# Stage 3: ADDP, the code of configs/addp/ at a small size, with what stages 1 and 2 have trained.
_base_ = '_base_/digits.py'

model = dict(
    type='ADDP',
    data_preprocessor=dict(
        type='ADDPDataPreprocessor',
        tokenizer=dict(
            model={{_base_.tokenizer}}, checkpoint='work_dirs/digits/vqgan/epoch_16.pth'),
        token_predictor=dict(
            model={{_base_.token_predictor}}, checkpoint='work_dirs/digits/mage/epoch_80.pth'),
        diffusion=dict(
            type='DiffusionProcess',
            mapping='weighted_sum',
            condition='z_t+d',
            per_image=True,
            # The paper's ratios, at least 0.5, end where half of the tokens are known: the late
            # steps of the sampler would never be trained.
            mask_ratio=dict(type='MaskRatioDistribution', min_ratio=0.02, std=0.3))),
    backbone=dict(
        type='ADDPViT',
        arch=dict(embed_dims=96, num_layers=4, num_heads=4, feedforward_channels=384),
        patch_size=8,
        pre_norm=False,  # it brings a bright and a dark patch to the same values
        drop_rate=0.),
    neck=dict(
        type='TokenDecoder', embed_dims=96, depth=2, num_heads=4, drop_rate=0., table_std=0.15),
    head=dict(type='TokenHead', loss=dict(type='MaskedTokenLoss', target='soft')),
    # A lower temperature makes rare digits rarer; a lower top-p makes a classifier surer.
    sampler=dict(num_steps=16, schedule='linear', temperature=3.0, top_p=0.5))
val_evaluator = dict(type='MaskedTokenCrossEntropy')

max_epochs, warmup_epochs = 25, 2
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=5)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=warmup_epochs, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=warmup_epochs,
        end=max_epochs,
        convert_to_iter_based=True)
]
work_dir = 'work_dirs/digits/addp'
