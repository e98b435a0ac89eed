# Stage 3 of the long run: more augmentation, longer, and the weights averaged.
_base_ = ['../addp.py', '_base_/augmentation.py']

model = dict(
    data_preprocessor=dict(
        tokenizer=dict(checkpoint='work_dirs/digits_long/vqgan/epoch_24.pth'),
        token_predictor=dict(checkpoint='work_dirs/digits_long/mage/epoch_150.pth')),
    sampler=dict(temperature=1.0, top_p=0.7))
train_dataloader = dict(dataset=dict(pipeline={{_base_.augmented}}))

max_epochs, warmup_epochs = 90, 2
train_cfg = dict(max_epochs=max_epochs, val_interval=15)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=warmup_epochs, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=warmup_epochs,
        end=max_epochs,
        convert_to_iter_based=True)
]
custom_hooks = _base_.custom_hooks + [dict(type='EMAHook', momentum=0.002)]
work_dir = 'work_dirs/digits_long/addp'
