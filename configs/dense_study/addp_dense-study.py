# ADDP as in the paper, at the study's size. What was changed, one thing at a time, is listed in
# addp_mm/studies/dense_pretraining.
_base_ = '../nuclei/_base_/addp_64.py'

model = dict(
    data_preprocessor=dict(
        tokenizer=dict(checkpoint='work_dirs/dense_study/vqgan/epoch_24.pth'),
        token_predictor=dict(checkpoint='work_dirs/dense_study/mage/epoch_40.pth')))

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
work_dir = 'work_dirs/dense_study/addp'
