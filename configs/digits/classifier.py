# A classifier of the handwritten digits (0.7 M parameters). Its features stand in for Inception's
# where generated digits are measured (generation.py, tools/evaluate_generation.py and
# tools/sweep_generation.py). About a minute on two CPU cores, on the data that `make digits` makes.
# All numbers are our choice.
_base_ = '_base_/digits.py'

model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(num_classes=10, mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True),
    backbone=dict(type='ResNet_CIFAR', depth=18, stem_channels=16, base_channels=16),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=128))
train_dataloader = dict(
    collate_fn=dict(type='pseudo_collate', _delete_=True), dataset=dict(with_label=True))
val_dataloader = dict(
    collate_fn=dict(type='pseudo_collate', _delete_=True), dataset=dict(with_label=True))
val_evaluator = dict(type='Accuracy')

optim_wrapper = dict(paramwise_cfg=dict(_delete_=True, flat_decay_mult=0.))  # it has no tables
max_epochs = 12
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=4)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=1, end=max_epochs, convert_to_iter_based=True)
]
work_dir = 'work_dirs/digits/classifier'
