# Fine-tuning of ADDP ViT-L, 50 epochs of ImageNet-1k at 256 pixels (paper Tab. 2 and 15): the paper
# reports 85.9 % top-1. Made for 8 GPUs:
#   tools/dist_train.sh configs/addp/benchmarks/finetune_vit-l_50e.py 8 --cfg-options \
#       model.backbone.init_cfg.checkpoint=CHECKPOINT
_base_ = './finetune_vit-b_100e.py'

model = dict(
    backbone=dict(
        arch='large',
        drop_path_rate=0.2,  # reference release; paper Tab. 15: 0.1
        init_cfg=dict(checkpoint='work_dirs/vit-l_800e/epoch_800.pth')),
    head=dict(in_channels=1024))
optim_wrapper = dict(
    optimizer=dict(lr=2.5e-4 * 1024 / 256),  # reference release: 1e-3; the batch is B's
    paramwise_cfg=dict(layer_decay_rate=0.8))  # reference release

train_cfg = dict(max_epochs=50)
param_scheduler = [  # 5 epochs of warm-up: reference release; paper Tab. 15: 20
    dict(type='LinearLR', start_factor=1e-6, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=5, end=50, eta_min_ratio=1e-3, convert_to_iter_based=True)
]
