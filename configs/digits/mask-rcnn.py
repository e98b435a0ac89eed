# Detection: configs/mmdet/ at a small size, on handwritten digits in photographs.
#   python tools/make_digit_scenes.py && python tools/train.py configs/digits/mask-rcnn.py
# From scratch: --cfg-options model.backbone.init_cfg=None
_base_ = [
    '../mmdet/_base_/mask-rcnn_vitdet-small.py', '../mmdet/_base_/runtime.py',
    '_base_/digit_scenes_coco.py'
]

model = dict(
    backbone=dict(
        img_size=96,
        pretrain_img_size=32,
        window_size=4,
        init_cfg=dict(checkpoint=_base_.pretrained)),
    roi_head=dict(bbox_head=dict(num_classes=10), mask_head=dict(num_classes=10)),
    train_cfg=dict(rpn_proposal=dict(max_per_img=200), rcnn=dict(sampler=dict(num=32))),
    test_cfg=dict(rpn=dict(max_per_img=200), rcnn=dict(max_per_img=20)))
train_dataloader = dict(batch_size=4)
default_hooks = dict(checkpoint=dict(interval=_base_.max_iters, max_keep_ckpts=1))
work_dir = 'work_dirs/digits/mask-rcnn'
