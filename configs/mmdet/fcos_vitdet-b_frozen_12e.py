# What the features themselves are worth: a light detector on the frozen encoder, on COCO (our
# choice; no run was made with this code). SimpleFPN and FCOS (arXiv 1904.01355), with two
# convolutions in each branch, are trained.
#   tools/dist_train.sh configs/mmdet/fcos_vitdet-b_frozen_12e.py 8
_base_ = 'mask-rcnn_vitdet-b_frozen_100e.py'

model = dict(
    _delete_=True,
    type='FCOS',
    data_preprocessor=_base_.model.data_preprocessor,
    backbone=_base_.model.backbone,
    neck=_base_.model.neck,
    bbox_head=dict(
        type='FCOSHead',
        num_classes=80,
        in_channels=256,
        feat_channels=256,
        stacked_convs=2,
        strides=[4, 8, 16, 32, 64],
        regress_ranges=((-1, 32), (32, 64), (64, 128), (128, 256), (256, 1e8)),
        # Later than the paper, as its authors' and others' code have it.
        norm_on_bbox=True,
        centerness_on_reg=True,
        center_sampling=True,
        conv_bias=True,
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox=dict(type='GIoULoss', loss_weight=1.0),
        loss_centerness=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0)),
    test_cfg=dict(
        nms_pre=1000, score_thr=0.05, nms=dict(type='nms', iou_threshold=0.6), max_per_img=100))
val_evaluator = dict(metric='bbox')
test_evaluator = val_evaluator

epochs, max_iters = 12, 11_063  # of 118,000 images, 128 a step
train_cfg = dict(max_iters=max_iters)
optim_wrapper = dict(
    _delete_=True,
    type='mmpretrain.PortableAmpOptimWrapper',
    dtype='float32',  # under bfloat16 mmdet's points would be off by pixels
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=1e-4),
    clip_grad=dict(max_norm=3.0))
param_scheduler = _base_.param_scheduler
param_scheduler[1].end = max_iters
