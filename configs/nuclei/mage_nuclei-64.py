# Stage 2: a MAGE token predictor for the tokens of vqgan_nuclei-64.py.
_base_ = '_base_/nuclei_64.py'

model = dict(
    type='MAGETraining',
    data_preprocessor=dict(
        type='TokenDataPreprocessor',
        tokenizer=dict(
            model={{_base_.tokenizer}}, checkpoint='work_dirs/nuclei/vqgan/epoch_24.pth')),
    token_predictor={{_base_.token_predictor}},
    mask_ratio=dict(type='TruncatedNormalMaskRatio', min_ratio=0.02, std=0.3),
    drop_ratio=0.)
val_evaluator = dict(type='MaskedTokenCrossEntropy')

max_epochs, warmup_epochs = 40, 2
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=8)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=warmup_epochs, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=warmup_epochs,
        end=max_epochs,
        convert_to_iter_based=True)
]
work_dir = 'work_dirs/nuclei/mage'
