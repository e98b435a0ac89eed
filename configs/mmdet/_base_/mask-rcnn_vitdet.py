# Mask R-CNN on a plain ViT-B (ViTDet, arXiv 2203.16527; ADDP Tab. 18); what mmdet needs of ours is
# found by name after the import in runtime.py. Head settings as in detectron2's ViTDet project.
_base_ = 'mask-rcnn_assignment.py'

norm_cfg = dict(type='LN2d', eps=1e-6)
model = dict(
    type='MaskRCNN',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_mask=True,
        pad_size_divisor=32),
    backbone=dict(
        type='ADDPViTDet',
        arch='base',
        img_size=1024,
        pretrain_img_size=256,
        patch_size=16,
        drop_path_rate=0.1,  # paper Tab. 18
        init_cfg=dict(
            type='Pretrained', checkpoint='checkpoints/addp_base.pth', prefix='backbone.')),
    neck=dict(type='SimpleFPN', in_channels=768, out_channels=256),
    rpn_head=dict(
        type='RPNHead',
        in_channels=256,
        num_convs=2,
        anchor_generator=dict(
            type='AnchorGenerator',
            scales=[8],
            ratios=[0.5, 1.0, 2.0],
            strides=[4, 8, 16, 32, 64]),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True),
        loss_bbox=dict(type='L1Loss')),
    roi_head=dict(
        type='StandardRoIHead',
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=0),
            out_channels=256,
            featmap_strides=[4, 8, 16, 32]),
        bbox_head=dict(
            type='Shared4Conv1FCBBoxHead',
            norm_cfg=norm_cfg,
            num_classes=80,
            loss_bbox=dict(type='L1Loss')),
        mask_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0),
            out_channels=256,
            featmap_strides=[4, 8, 16, 32]),
        mask_head=dict(
            type='FCNMaskHead',
            norm_cfg=norm_cfg,
            num_classes=80,
            loss_mask=dict(type='CrossEntropyLoss', use_mask=True))))
