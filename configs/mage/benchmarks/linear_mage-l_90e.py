# Linear probing of MAGE-L on VQ tokens, 90 epochs of ImageNet-1k (paper Tab. 2: 78.9 % top-1, which
# is MAGE's own number). Numbers: MAGE's release. Made for 8 GPUs:
#   tools/dist_train.sh configs/mage/benchmarks/linear_mage-l_90e.py 8 --cfg-options \
#       model.backbone.init_cfg.checkpoint=CHECKPOINT
_base_ = './linear_mage-b_90e.py'

model = dict(
    backbone=dict(
        arch='large',
        frozen_stages=24,
        init_cfg=dict(checkpoint='checkpoints/mage_large.safetensors')),
    neck=dict(input_features=1024),
    head=dict(in_channels=1024))
optim_wrapper = dict(optimizer=dict(lr=0.05 * 4096 / 256))  # -> 0.8
