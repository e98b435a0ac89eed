# Fine-tuning of the ablations on the digits: ../finetune.py, but longer.
_base_ = '../finetune.py'

max_epochs, warmup_epochs = 100, 5  # our choice, of two iterations
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=warmup_epochs, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=warmup_epochs,
        end=max_epochs,
        convert_to_iter_based=True)
]
default_hooks = dict(checkpoint=dict(interval=max_epochs))
work_dir = 'work_dirs/digits/finetune_100e'
