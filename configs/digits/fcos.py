# Detection from the frozen encoder: configs/mmdet/fcos_vitdet-b_frozen_12e.py at a small size.
#   python tools/make_digit_scenes.py && python tools/train.py configs/digits/fcos.py
_base_ = 'mask-rcnn.py'

model = dict(
    _delete_=True,
    type='FCOS',
    data_preprocessor=_base_.model.data_preprocessor,
    backbone=dict(**_base_.model.backbone, frozen_stages=4, final_norm=True),
    neck=_base_.model.neck,
    bbox_head=dict(
        type='FCOSHead',
        num_classes=10,
        in_channels=32,
        feat_channels=32,
        stacked_convs=2,
        norm_cfg=dict(type='GN', num_groups=4),
        strides=_base_.strides,
        regress_ranges=((-1, 16), (16, 32), (32, 64), (64, 128), (128, 1e8)),
        norm_on_bbox=True,
        centerness_on_reg=True,
        center_sampling=True,
        conv_bias=True,
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox=dict(type='GIoULoss', loss_weight=1.0),
        loss_centerness=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0)),
    test_cfg=dict(
        nms_pre=1000, score_thr=0.05, nms=dict(type='nms', iou_threshold=0.6), max_per_img=20))
val_evaluator = dict(metric='bbox')
test_evaluator = val_evaluator
work_dir = 'work_dirs/digits/fcos'
