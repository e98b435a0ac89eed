# Stage 1 at the size of the release: a VQ tokenizer for nuclei, 16 x 16 tokens out of 1024 codes.
# Made for one GPU of 24 GB; no run was made.
_base_ = ['../vqgan/vqgan_256.py', '_base_/nuclei_256.py']

model = dict(
    tokenizer=dict(norm=dict(type='timm.layers.LayerNorm2d'), shortcut='input'),
    codebook=dict(ema_decay=0.99, revive_after=100, init_from_data=True),
    adversarial_loss=dict(start=7500))  # after a quarter of the iterations
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    dataset=dict(
        _delete_=True, type='RepeatDataset', times=10, dataset={{_base_.nuclei_training}}))
val_dataloader = dict(
    batch_size=8, dataset=dict(_delete_=True, **_base_.nuclei_validation))
test_dataloader = val_dataloader
custom_hooks = [
    *_base_.nuclei_hooks,
    dict(type='EffectiveBatchHook', expected=8),
    dict(type='ReconstructionGridHook'),
    dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.001)
]
max_epochs = 50
train_cfg = dict(max_epochs=max_epochs, val_interval=5)
work_dir = 'work_dirs/nuclei/vqgan_256'
