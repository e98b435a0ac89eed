# Linear probing of ADDP ViT-L, 90 epochs of ImageNet-1k (paper Tab. 2 and 16): the paper reports
# 23.8 % top-1.
#   tools/dist_train.sh configs/addp/benchmarks/linear_vit-l_90e.py 8 --cfg-options \
#       model.backbone.init_cfg.checkpoint=CHECKPOINT
_base_ = './linear_vit-b_90e.py'

model = dict(
    backbone=dict(
        arch='large',
        frozen_stages=24,
        init_cfg=dict(checkpoint='work_dirs/vit-l_800e/epoch_800.pth')),
    neck=dict(input_features=1024),
    head=dict(in_channels=1024))
