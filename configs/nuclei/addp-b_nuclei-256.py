# Stage 3 at the size of the paper: ADDP ViT-B on nuclei, with what vqgan_nuclei-256.py and
# mage-b_nuclei-256.py have trained. Made for one GPU of 24 GB; no run was made.
_base_ = ['../addp/vit-b_1600e.py', '_base_/nuclei_256.py']

model = dict(
    data_preprocessor=dict(
        tokenizer=dict(
            model={{_base_.nuclei_tokenizer}},
            checkpoint='work_dirs/nuclei/vqgan_256/epoch_50.pth'),
        token_predictor=dict(
            model=dict(_delete_=True, type='MAGE', arch='base'),
            checkpoint='work_dirs/nuclei/mage-b_256/epoch_100.pth')),
    neck=dict(vocab_size=None))
train_dataloader = dict(
    batch_size=32,
    num_workers=4,
    dataset=dict(
        _delete_=True, type='RepeatDataset', times=20, dataset={{_base_.nuclei_training}}))
val_dataloader = dict(
    batch_size=32,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset={{_base_.nuclei_validation}})
val_cfg = dict()
val_evaluator = dict(type='MaskedTokenCrossEntropy')
optim_wrapper = dict(accumulative_counts=1, optimizer=dict(lr=1e-4))
custom_hooks = [*_base_.nuclei_hooks, dict(type='EffectiveBatchHook', expected=32)]
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
work_dir = 'work_dirs/nuclei/addp-b_256'
