# The nuclei as maps of classes, as tools/prepare_annotations.py writes them: the lists hold file
# names with their endings; a map has the name of its image and `.png`.
data_root = 'data/nuclei'
metainfo = dict(classes=('background', 'nucleus'), palette=[[0, 0, 0], [60, 180, 75]])
flips = [
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomFlip', prob=0.5, direction='vertical')
]
maps = dict(
    type='BaseSegDataset',
    data_root=data_root,
    data_prefix=dict(img_path='images', seg_map_path='annotations/maps'),
    img_suffix='',
    seg_map_suffix='.png',
    metainfo=metainfo)
test_pipeline = [
    dict(type='LoadImageFromFile', backend_args=dict(backend='addp_pictures')),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')
]
train_dataloader = dict(
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(ann_file='annotations/train.txt', **maps))
val_dataloader = dict(
    batch_size=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(ann_file='annotations/val.txt', pipeline=test_pipeline, **maps))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
