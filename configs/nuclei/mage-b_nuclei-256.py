# Stage 2 at the size of the release: MAGE-B for the tokens of vqgan_nuclei-256.py. Made for one GPU
# of 24 GB; no run was made.
_base_ = ['../mage/mage_vit-b_1600e.py', '_base_/nuclei_256.py']

model = dict(
    data_preprocessor=dict(
        tokenizer=dict(
            model={{_base_.nuclei_tokenizer}},
            checkpoint='work_dirs/nuclei/vqgan_256/epoch_50.pth')))
train_dataloader = dict(
    batch_size=64,
    num_workers=4,
    dataset=dict(
        _delete_=True, type='RepeatDataset', times=20, dataset={{_base_.nuclei_training}}))
val_dataloader = dict(
    batch_size=32, dataset=dict(_delete_=True, **_base_.nuclei_validation))
optim_wrapper = dict(accumulative_counts=1, optimizer=dict(lr=1.5e-4))
custom_hooks = [*_base_.nuclei_hooks, dict(type='EffectiveBatchHook', expected=64)]
max_epochs, warmup_epochs = 100, 5
train_cfg = dict(max_epochs=max_epochs, val_interval=10)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, end=warmup_epochs, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=warmup_epochs,
        end=max_epochs,
        convert_to_iter_based=True)
]
work_dir = 'work_dirs/nuclei/mage-b_256'
