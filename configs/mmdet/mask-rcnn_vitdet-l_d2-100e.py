# The schedule of detectron2's ViTDet project for ViT-L (there, of MAE: 55.5 box AP).
_base_ = 'mask-rcnn_vitdet-b_d2-100e.py'

model = dict(
    backbone=dict(
        arch='large',
        drop_path_rate=0.4,
        with_cp=True,
        init_cfg=dict(checkpoint='checkpoints/addp_large.pth')),
    neck=dict(in_channels=1024))
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.8))
