# Segmentation: configs/mmseg/ at a small size, on handwritten digits in photographs.
#   python tools/make_digit_scenes.py && python tools/train.py configs/digits/upernet.py
# From scratch: --cfg-options model.backbone.init_cfg=None
_base_ = [
    '../mmseg/_base_/upernet_vit-small.py', '../mmseg/_base_/runtime.py',
    '_base_/digit_scenes_ade.py'
]

image_size = (96, 96)
# Nine tenths of the pixels are photograph: unweighted, nothing else is learned in so short a time.
loss = dict(class_weight=[0.1] + [1.] * 10)
model = dict(
    data_preprocessor=dict(size=image_size),
    backbone=dict(img_size=96, init_cfg=dict(checkpoint=_base_.pretrained)),
    decode_head=dict(num_classes=11, loss_decode=loss),
    auxiliary_head=dict(num_classes=11, loss_decode=loss),
    test_cfg=dict(_delete_=True, mode='whole'))

max_iters, warmup_iters = 800, 50
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.9))
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=warmup_iters),
    dict(type='CosineAnnealingLR', begin=warmup_iters, end=max_iters, by_epoch=False)
]
default_hooks = dict(checkpoint=dict(interval=max_iters, max_keep_ckpts=1))
work_dir = 'work_dirs/digits/upernet'
