# Linear probing of ADDP's frozen encoder on 10 labels for each of the 10 digits, after stage 3; the
# parts are those of configs/addp/benchmarks/linear_vit-b_90e.py.
#   python tools/train.py configs/digits/linear.py
_base_ = '_base_/recognition.py'

model = dict(
    backbone=dict(frozen_stages=4, drop_path_rate=0.),
    neck=dict(type='ClsBatchNormNeck', input_features=96),
    head=dict(
        loss=dict(_delete_=True, type='CrossEntropyLoss'),
        init_cfg=dict(type='Normal', _delete_=True, layer='Linear', std=0.01)))
optim_wrapper = dict(
    _delete_=True,
    type='PortableAmpOptimWrapper',
    dtype='float32',
    optimizer=dict(type='LARS', lr=1.6, momentum=0.9, weight_decay=0.),
    paramwise_cfg=dict(custom_keys={'head.fc.bias': dict(lars_exclude=True)}))
work_dir = 'work_dirs/digits/linear'
