# The tokenizer of the study.
_base_ = '_base_/pictures.py'

model = dict(
    type='VQGANTraining',
    tokenizer={{_base_.tokenizer}},
    codebook=dict(ema_decay=0.98, revive_after=20, init_from_data=True),
    vq_loss=dict(type='VQLoss', commitment_weight=0.05),
    pixel_loss=dict(type='PixelReconstructionLoss', criterion='L2'))
val_evaluator = [
    dict(type='ReconstructionQuality'),
    dict(type='CodebookUsage'),
]
train_dataloader = dict(batch_size=32, dataset=dict(times=2))

max_epochs, warmup_epochs = 22, 2
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=11)
optim_wrapper = dict(optimizer=dict(weight_decay=1e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=warmup_epochs, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=warmup_epochs,
        end=max_epochs,
        convert_to_iter_based=True)
]
work_dir = 'work_dirs/dense_study/vqgan'
