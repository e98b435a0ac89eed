# What the recipes with a few labelled digits share: 10 labels a class, chosen by `labels_seed`,
# scores on the 297 held-out digits. Numbers without a source are our choice; how the rates were
# found stands in benchmarks/recognition.md.
_base_ = ['digits.py', '../../_base_/models/vit-b_classifier.py']

model = dict(
    data_preprocessor=dict(num_classes=10),
    backbone=dict(
        arch=dict(
            _delete_=True, embed_dims=96, num_layers=4, num_heads=4, feedforward_channels=384),
        img_size=32,
        patch_size=8,
        init_cfg=dict(checkpoint='work_dirs/digits/addp/epoch_25.pth')),
    head=dict(num_classes=10, in_channels=96, loss=dict(num_classes=10)),
    train_cfg=None)  # no mixed images

train_dataloader = dict(
    batch_size=50,
    dataset=dict(with_label=True, num_classes=10, labels_per_class=10, labels_seed=0))
val_dataloader = _base_.val_dataloader
val_dataloader.dataset.update(with_label=True, num_classes=10)
val_evaluator = dict(type='Accuracy')
test_dataloader, test_evaluator, test_cfg = val_dataloader, val_evaluator, dict()

optim_wrapper = dict(
    optimizer=dict(lr=1e-3, betas=(0.9, 0.999)),
    constructor='LearningRateDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        _delete_=True,
        layer_decay_rate=0.75,
        flat_decay_mult=0.,
        custom_keys=dict(pos_embed=dict(decay_mult=0.), cls_token=dict(decay_mult=0.))))
max_epochs, warmup_epochs = 60, 3  # of two iterations
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=warmup_epochs, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=warmup_epochs,
        end=max_epochs,
        convert_to_iter_based=True)
]
default_hooks = dict(checkpoint=dict(interval=max_epochs))
