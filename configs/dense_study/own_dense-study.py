# What own images train with, see configs/nuclei; it starts from the encoder of
# mae_dense-study.py.
_base_ = '../nuclei/addp_nuclei-64.py'

model = dict(
    data_preprocessor=dict(
        tokenizer=dict(checkpoint='work_dirs/dense_study/vqgan/epoch_24.pth'),
        token_predictor=dict(checkpoint='work_dirs/dense_study/mage/epoch_40.pth')),
    backbone=dict(init_cfg=dict(checkpoint='work_dirs/dense_study/mae/epoch_40.pth')),
    neck=dict(table_std=0.02))  # as the records have it

max_epochs, warmup_epochs = 10, 1
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=warmup_epochs, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=warmup_epochs,
        end=max_epochs,
        convert_to_iter_based=True)
]
work_dir = 'work_dirs/dense_study/own'
