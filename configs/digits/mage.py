# Stage 2: a MAGE token predictor for the tokens of stage 1.
_base_ = '_base_/digits.py'

model = dict(
    type='MAGETraining',
    data_preprocessor=dict(
        type='TokenDataPreprocessor',
        tokenizer=dict(
            model={{_base_.tokenizer}}, checkpoint='work_dirs/digits/vqgan/epoch_16.pth')),
    token_predictor={{_base_.token_predictor}},
    # MAGE's recipe never sees more than half of the tokens. Here the sampler's late steps, where
    # most tokens are known, are trained too.
    mask_ratio=dict(type='TruncatedNormalMaskRatio', min_ratio=0.02, std=0.3),
    drop_ratio=0.)
val_evaluator = dict(type='MaskedTokenCrossEntropy')

max_epochs, warmup_epochs = 80, 2
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=20)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=warmup_epochs, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=warmup_epochs,
        end=max_epochs,
        convert_to_iter_based=True)
]
work_dir = 'work_dirs/digits/mage'
