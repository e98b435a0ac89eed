# Segmentation from the frozen encoder: configs/mmseg/linear_vit-b_frozen_40k.py at a small size.
#   python tools/make_digit_scenes.py && python tools/train.py configs/digits/linear-segmentor.py
_base_ = 'upernet.py'

model = dict(
    backbone=dict(
        out_indices=(3, ),
        frozen_stages=4,
        final_norm=True,
        layer_scale_init_value=0.),
    neck=None,
    decode_head=dict(
        _delete_=True,
        type='FCNHead',
        in_channels=96,
        in_index=0,
        channels=96,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0.,
        num_classes=11,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', **_base_.loss)),
    auxiliary_head=None)
optim_wrapper = dict(
    _delete_=True,
    type='mmpretrain.PortableAmpOptimWrapper',
    dtype='float32',
    optimizer=dict(type='AdamW', lr=1e-2, weight_decay=1e-4))
work_dir = 'work_dirs/digits/linear-segmentor'
