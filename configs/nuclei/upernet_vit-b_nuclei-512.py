# Nuclei against background: UperNet with ViT-B on crops of 512 pixels. Made for one GPU of 24 GB;
# no run was made.
#   python tools/train.py configs/nuclei/upernet_vit-b_nuclei-512.py
_base_ = '../mmseg/upernet_vit-b_80k.py'

data_root = 'data/nuclei'
crop = (512, 512)
metainfo = dict(
    classes=('background', 'nucleus'), palette=[[0, 0, 0], [60, 180, 75]])
model = dict(
    data_preprocessor=dict(size=crop),
    backbone=dict(
        init_cfg=dict(checkpoint='work_dirs/nuclei/addp-b_256/epoch_100.pth')),
    decode_head=dict(num_classes=2),
    auxiliary_head=dict(num_classes=2))
# The lists hold file names with their endings; a map has the name of its image and `.png`.
train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        type='BaseSegDataset',
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
            dict(type='RandomResize', scale=crop, ratio_range=(1.0, 3.0), keep_ratio=True),
            dict(type='RandomCrop', crop_size=crop),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='RandomFlip', prob=0.5, direction='vertical'),
            dict(type='PackSegInputs')
        ]))
val_dataloader = dict(
    batch_size=1,
    dataset=dict(
        type='BaseSegDataset',
        data_root=data_root,
        ann_file='annotations/val.txt',
        data_prefix=dict(img_path='images', seg_map_path='annotations/maps'),
        img_suffix='',
        seg_map_suffix='.png',
        reduce_zero_label=False,
        metainfo=metainfo,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(1024, 1024), keep_ratio=True),
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs')
        ]))
test_dataloader = val_dataloader

max_iters, warmup_iters = 4000, 200
auto_scale_lr = dict(base_batch_size=8)
train_cfg = dict(max_iters=max_iters, val_interval=1000)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, end=warmup_iters),
    dict(type='CosineAnnealingLR', begin=warmup_iters, end=max_iters, by_epoch=False)
]
default_hooks = dict(checkpoint=dict(interval=1000))
work_dir = 'work_dirs/nuclei/upernet_vit-b'
