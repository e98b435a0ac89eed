# The schedule of detectron2's ViTDet project in place of the paper's (there, ViT-B of MAE: 51.6 box
# AP): batch 64, the rate divided by 10 twice, layer decay 0.7.
_base_ = 'mask-rcnn_vitdet-b_100e.py'

batch_size, epochs, warmup_iters = 64, 100, 250
max_iters = -(-epochs * 118_000 // batch_size)  # 184,375
auto_scale_lr = dict(base_batch_size=batch_size)
train_dataloader = dict(batch_size=8)  # x 8 GPUs
optim_wrapper = dict(optimizer=dict(lr=1e-4), paramwise_cfg=dict(layer_decay_rate=0.7))

train_cfg = dict(max_iters=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, end=warmup_iters),
    dict(
        type='MultiStepLR',
        milestones=[round(max_iters * 8 / 9), round(max_iters * 26 / 27)],  # 163,889 and 177,546
        gamma=0.1,
        by_epoch=False)
]
