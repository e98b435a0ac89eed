# Nuclei against background: the segmentor of configs/digits at a small size, on crops of 128
# pixels, for two CPU cores and some minutes. Needs the environment of segmentation.
#   python tools/train.py configs/nuclei/upernet_nuclei-128.py
# From scratch: --cfg-options model.backbone.init_cfg=None
_base_ = '../digits/upernet.py'

data_root = 'data/nuclei'
crop = (128, 128)
metainfo = dict(
    _delete_=True, classes=('background', 'nucleus'), palette=[[0, 0, 0], [60, 180, 75]])
loss = dict(class_weight=None)
model = dict(
    data_preprocessor=dict(size=crop),
    backbone=dict(
        img_size=crop[0], init_cfg=dict(checkpoint='work_dirs/nuclei/addp/epoch_40.pth')),
    decode_head=dict(num_classes=2, loss_decode=loss),
    auxiliary_head=dict(num_classes=2, loss_decode=loss),
    test_cfg=dict(_delete_=True, mode='slide', crop_size=crop, stride=(96, 96)))
# The lists hold file names with their endings; a map has the name of its image and `.png`.
train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/train.txt',
        data_prefix=dict(img_path='images', seg_map_path='annotations/maps'),
        img_suffix='',
        seg_map_suffix='.png',
        reduce_zero_label=False,
        metainfo=metainfo,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='RandomCrop', crop_size=crop),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='RandomFlip', prob=0.5, direction='vertical'),
            dict(type='PackSegInputs')
        ]))
val_dataloader = dict(
    batch_size=1,
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/val.txt',
        data_prefix=dict(img_path='images', seg_map_path='annotations/maps'),
        img_suffix='',
        seg_map_suffix='.png',
        reduce_zero_label=False,
        metainfo=metainfo,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs')
        ]))
test_dataloader = val_dataloader

max_iters, warmup_iters = 400, 50
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=warmup_iters),
    dict(type='CosineAnnealingLR', begin=warmup_iters, end=max_iters, by_epoch=False)
]
default_hooks = dict(checkpoint=dict(interval=max_iters))
work_dir = 'work_dirs/nuclei/upernet'
