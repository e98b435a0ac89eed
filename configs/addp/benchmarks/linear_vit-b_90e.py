# Linear probing of ADDP ViT-B, 90 epochs of ImageNet-1k (paper Tab. 7 and 16): the paper reports
# 11.5 % top-1. It gives batch, epochs, optimizer, rate and augmentation; the rest is MAE's release.
#   tools/dist_train.sh configs/addp/benchmarks/linear_vit-b_90e.py 8 --cfg-options \
#       model.backbone.init_cfg.checkpoint=CHECKPOINT
# With the norm of the pre-training, which may raise it: model.backbone.pre_norm=True.
_base_ = [
    '../../_base_/models/vit-b_classifier.py', '../../_base_/datasets/imagenet_labels_256.py',
    '../../_base_/schedules/lars_bs16384.py', '../../_base_/default_runtime.py'
]

model = dict(
    backbone=dict(frozen_stages=12, drop_path_rate=0.),
    # Batch norm without weights before the head (MAE). The average of the patches is our choice,
    # for the CLS token is untrained; the norm after it is frozen at its start, the identity.
    neck=dict(type='ClsBatchNormNeck', input_features=768),
    head=dict(
        loss=dict(_delete_=True, type='CrossEntropyLoss'),
        init_cfg=dict(_delete_=True, type='Normal', layer='Linear', std=0.01)),
    train_cfg=None)
pipeline = _base_.train_pipeline
train_dataloader = dict(  # paper Tab. 16: crop and flip only
    batch_size=2048, num_workers=16, dataset=dict(pipeline=[*pipeline[:3], pipeline[-1]]))
# 8 GPUs x 2048 images = 16384 (paper Tab. 16); the split is our choice.
custom_hooks = [*_base_.custom_hooks, dict(type='EffectiveBatchHook', expected=16384)]
default_hooks = dict(checkpoint=dict(interval=5, max_keep_ckpts=2))
