# ADDP of the digits for 15 epochs: what docs/benchmarks/ablations.md puts the ablations on.
_base_ = '../addp.py'

model = dict(  # as in the paper
    data_preprocessor=dict(
        diffusion=dict(
            per_image=False, mask_ratio=dict(_delete_=True, type='MaskRatioDistribution'))),
    backbone=dict(pre_norm=True, drop_rate=0.1),
    neck=dict(drop_rate=0.1, table_std=0.02))

max_epochs, warmup_epochs = 15, 2  # our choice: about a minute on one CPU core
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=warmup_epochs, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=warmup_epochs,
        end=max_epochs,
        convert_to_iter_based=True)
]
work_dir = 'work_dirs/digits/addp_15e'
