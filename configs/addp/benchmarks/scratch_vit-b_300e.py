# ViT-B from scratch on pixels, 300 epochs of ImageNet-1k at 256 pixels (paper Tab. 1 and 13): the
# paper reports 82.6 % top-1; scratch_vit-b-tokens_300e.py reads tokens. Made for 8 GPUs:
#   tools/dist_train.sh configs/addp/benchmarks/scratch_vit-b_300e.py 8
_base_ = './finetune_vit-b_100e.py'

model = dict(
    backbone=dict(init_cfg=None),
    head=dict(init_cfg=dict(std=0.02)))  # our choice: the start of the encoder's linear layers
# 8 GPUs x 256 images x 2 accumulated = 4096 (paper Tab. 13); the split is our choice.
train_dataloader = dict(batch_size=256)
optim_wrapper = dict(
    accumulative_counts=2,
    # The rate is not legible in the paper; MAE's from scratch: 1e-4 per 256 images.
    optimizer=dict(lr=1e-4 * 4096 / 256, betas=(0.9, 0.95), weight_decay=0.3),  # paper Tab. 13
    paramwise_cfg=dict(layer_decay_rate=1.))
auto_scale_lr = dict(base_batch_size=8 * 256)
custom_hooks = [*_base_.custom_hooks[:-1], dict(type='EffectiveBatchHook', expected=4096)]

train_cfg = dict(max_epochs=300)  # paper Tab. 13, with a warm-up of 20 epochs
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, end=20, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=20, end=300, convert_to_iter_based=True)
]
