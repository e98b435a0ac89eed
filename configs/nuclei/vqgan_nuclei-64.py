# Stage 1: a VQ tokenizer for nuclei, without perceptual and adversarial loss.
_base_ = '_base_/nuclei_64.py'

model = dict(
    type='VQGANTraining',
    tokenizer={{_base_.tokenizer}},
    codebook=dict(ema_decay=0.98, revive_after=20, init_from_data=True),
    vq_loss=dict(type='VQLoss', commitment_weight=0.05),
    pixel_loss=dict(type='PixelReconstructionLoss', criterion='L2'))
val_evaluator = [
    dict(type='ReconstructionQuality'),
    dict(type='VariationKept'),
    dict(type='CodebookUsage')
]

max_epochs, warmup_epochs = 24, 2
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=4)
optim_wrapper = dict(
    optimizer=dict(weight_decay=1e-4),
    paramwise_cfg=dict(_delete_=True, flat_decay_mult=0.))  # it has no tables
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=warmup_epochs, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=warmup_epochs,
        end=max_epochs,
        convert_to_iter_based=True)
]
work_dir = 'work_dirs/nuclei/vqgan'
