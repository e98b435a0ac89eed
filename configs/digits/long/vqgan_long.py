# Stage 1 of the long run (`make digits-long`): as the quick one, with more augmentation, longer.
_base_ = ['../vqgan.py', '_base_/augmentation.py']

train_dataloader = dict(dataset=dict(pipeline={{_base_.augmented}}))

max_epochs, warmup_epochs = 24, 2
train_cfg = dict(max_epochs=max_epochs, val_interval=8)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=warmup_epochs, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=warmup_epochs,
        end=max_epochs,
        convert_to_iter_based=True)
]
work_dir = 'work_dirs/digits_long/vqgan'
