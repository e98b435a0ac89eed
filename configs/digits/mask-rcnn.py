# Detection: configs/mmdet/ at a small size, on handwritten digits in photographs.
#   python tools/make_digit_scenes.py && python tools/train.py configs/digits/mask-rcnn.py
# From scratch: --cfg-options model.backbone.init_cfg=None
_base_ = [
    '../mmdet/_base_/mask-rcnn_vitdet.py', '../mmdet/_base_/runtime.py',
    '_base_/digit_scenes_coco.py'
]

strides = [2, 4, 8, 16, 32]  # patches of 8 pixels, not 16
extractor = dict(out_channels=32, featmap_strides=strides[:4])
model = dict(
    backbone=dict(
        _delete_=True,
        type='ADDPViTDet',
        img_size=96,
        pretrain_img_size=32,
        window_size=4,
        **_base_.backbone),
    neck=dict(in_channels=96, out_channels=32),
    rpn_head=dict(
        in_channels=32,
        feat_channels=32,
        num_convs=1,
        anchor_generator=dict(scales=[8], strides=strides)),
    roi_head=dict(
        bbox_roi_extractor=extractor,
        bbox_head=dict(
            type='ConvFCBBoxHead',
            num_shared_convs=1,
            num_shared_fcs=1,
            in_channels=32,
            conv_out_channels=32,
            fc_out_channels=96,
            num_classes=10),
        mask_roi_extractor=extractor,
        mask_head=dict(in_channels=32, conv_out_channels=32, num_convs=2, num_classes=10)),
    train_cfg=dict(rpn_proposal=dict(max_per_img=200), rcnn=dict(sampler=dict(num=32))),
    test_cfg=dict(rpn=dict(max_per_img=200), rcnn=dict(max_per_img=20)))
train_dataloader = dict(batch_size=4)
default_hooks = dict(checkpoint=dict(interval=_base_.max_iters, max_keep_ckpts=1))
work_dir = 'work_dirs/digits/mask-rcnn'
