# The token predictor of the study.
_base_ = '_base_/pictures.py'

model = dict(
    type='MAGETraining',
    data_preprocessor=dict(
        type='TokenDataPreprocessor',
        tokenizer=dict(
            model={{_base_.tokenizer}},
            checkpoint='work_dirs/dense_study/vqgan/epoch_22.pth',
            dtype='bfloat16',  # three times as fast on CPUs that know it
            channels_last=True)),
    token_predictor={{_base_.token_predictor}})

max_epochs, warmup_epochs = 20, 2
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=10)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=warmup_epochs, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=warmup_epochs,
        end=max_epochs,
        convert_to_iter_based=True)
]
work_dir = 'work_dirs/dense_study/mage'
