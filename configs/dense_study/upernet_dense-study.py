# The segmentor of the study: UperNet on ADDPUperViT, crops of 128 pixels at the pictures' own
# scale.
_base_ = [
    '../mmseg/_base_/upernet_vit-small.py', '../mmseg/_base_/runtime.py', '_base_/schedule.py'
]

data_root = 'work_dirs/nuclei/'
metainfo = dict(classes=('background', 'nucleus'), palette=[[0, 0, 0], [230, 25, 75]])
crop_size = (128, 128)
model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(img_size=128, init_cfg=dict(checkpoint=_base_.pretrained)),
    decode_head=dict(num_classes=2),
    auxiliary_head=dict(num_classes=2),
    test_cfg=dict(crop_size=crop_size, stride=(96, 96)))
train_dataloader = dict(
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='BaseSegDataset',
        data_root=data_root,
        data_prefix=dict(img_path='images/training', seg_map_path='annotations/training'),
        img_suffix='.png',
        metainfo=metainfo,
        pipeline=[
            dict(type='LoadImageFromFile', backend_args=dict(backend='addp_pictures')),
            dict(type='LoadAnnotations'),
            dict(type='RandomCrop', crop_size=crop_size),
            dict(type='RandomFlip', prob=[0.25, 0.25], direction=['horizontal', 'vertical']),
            dict(type='PackSegInputs')
        ]))
val_dataloader = dict(
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='BaseSegDataset',
        data_root=data_root,
        data_prefix=dict(img_path='images/validation', seg_map_path='annotations/validation'),
        img_suffix='.png',
        metainfo=metainfo,
        pipeline=[
            dict(type='LoadImageFromFile', backend_args=dict(backend='addp_pictures')),
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs')
        ]))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(interval=_base_.max_iters, max_keep_ckpts=1))
work_dir = 'work_dirs/dense_study/upernet'
