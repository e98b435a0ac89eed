# The detector of the study: Mask R-CNN on ADDPViTDet, crops of 128 pixels at the pictures' own
# scale. About three minutes on one idle CPU core.
_base_ = [
    '../mmdet/_base_/mask-rcnn_vitdet-small.py', '../mmdet/_base_/runtime.py',
    '_base_/schedule.py'
]

data_root = 'work_dirs/nuclei/'
metainfo = dict(classes=('nucleus', ))
model = dict(
    backbone=dict(
        img_size=128,
        pretrain_img_size=64,
        window_size=8,
        global_attn_indexes=(1, 3),
        init_cfg=dict(checkpoint=_base_.pretrained)),
    rpn_head=dict(anchor_generator=dict(scales=[4])),  # nuclei of 8 pixels and more
    roi_head=dict(bbox_head=dict(num_classes=1), mask_head=dict(num_classes=1)),
    train_cfg=dict(rpn_proposal=dict(max_per_img=300), rcnn=dict(sampler=dict(num=64))),
    # The fullest picture has 375 nuclei.
    test_cfg=dict(rpn=dict(max_per_img=1000), rcnn=dict(max_per_img=400)))
train_dataloader = dict(
    sampler=dict(type='InfiniteSampler'),
    dataset=dict(
        type='CocoDataset',
        data_root=data_root,
        ann_file='coco/instances_training.json',
        data_prefix=dict(img='images/training/'),
        metainfo=metainfo,
        filter_cfg=dict(filter_empty_gt=False),  # `indices` count all pictures
        pipeline=[
            dict(type='LoadImageFromFile', backend_args=dict(backend='addp_pictures')),
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
            dict(
                type='RandomCrop',
                crop_size=(128, 128),
                recompute_bbox=True,
                allow_negative_crop=True),
            dict(type='RandomFlip', prob=[0.25, 0.25], direction=['horizontal', 'vertical']),
            dict(type='FilterAnnotations', min_gt_bbox_wh=(2, 2)),
            dict(type='PackDetInputs')
        ]))
val_dataloader = dict(
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CocoDataset',
        data_root=data_root,
        ann_file='coco/instances_validation.json',
        data_prefix=dict(img='images/validation/'),
        metainfo=metainfo,
        test_mode=True,
        pipeline=[
            dict(type='LoadImageFromFile', backend_args=dict(backend='addp_pictures')),
            dict(type='Resize', scale_factor=1.0),
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
            dict(
                type='PackDetInputs',
                meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))
        ]))
test_dataloader = val_dataloader
val_evaluator = dict(
    type='CocoMetric',
    ann_file=data_root + 'coco/instances_validation.json',
    metric=['bbox', 'segm'],
    proposal_nums=(100, 300, 400))  # AP counts up to the last number of detections
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(interval=_base_.max_iters, max_keep_ckpts=1))
work_dir = 'work_dirs/dense_study/mask-rcnn'
