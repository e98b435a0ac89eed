# Mask R-CNN, ADDP ViT-L, COCO (paper Tab. 2 and 18: 54.6 box AP, 48.2 mask AP; no run was made with
# this code).
_base_ = 'mask-rcnn_vitdet-b_100e.py'

model = dict(
    backbone=dict(
        arch='large',
        drop_path_rate=0.4,  # paper Tab. 18
        with_cp=True,  # 16 images per GPU do not fit otherwise
        init_cfg=dict(checkpoint='checkpoints/addp_large.pth')),
    neck=dict(in_channels=1024))
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.9))  # paper Tab. 18
