# Fine-tuning of MAGE-L on VQ tokens, 50 epochs of ImageNet-1k (paper Tab. 2: 83.9 % top-1, which is
# MAGE's own number). Numbers: MAGE's release. Made for 8 GPUs:
#   tools/dist_train.sh configs/mage/benchmarks/finetune_mage-l_50e.py 8 --cfg-options \
#       model.backbone.init_cfg.checkpoint=CHECKPOINT
_base_ = './finetune_mage-b_100e.py'

model = dict(
    backbone=dict(
        arch='large',
        drop_path_rate=0.2,
        init_cfg=dict(checkpoint='checkpoints/mage_large.safetensors')),
    head=dict(in_channels=1024))
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.75))

train_cfg = dict(max_epochs=50)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=5, end=50, eta_min_ratio=1e-3, convert_to_iter_based=True)
]
