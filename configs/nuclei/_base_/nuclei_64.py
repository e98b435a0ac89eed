# What the three small trainings on microscopy images of nuclei share, made for two CPU cores and
# some minutes: crops of 64 pixels at the images' own scale, mirrored and turned. The images lie in
# data/nuclei/images; the lists of those to train with and to validate with come from
#   python tools/prepare_annotations.py data/nuclei/images data/nuclei/instances \
#       --category nucleus --out data/nuclei/annotations
# which reads label images, one mask an object (without the second folder), or a COCO file.
_base_ = '../../digits/_base_/digits.py'

tokenizer = dict(image_size=64, num_codes=128, code_dims=32)  # stride 8: 8 x 8 tokens
data_root = 'data/nuclei'
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    dataset=dict(
        _delete_=True,
        type='RepeatDataset',
        times=2,
        dataset=dict(
            type='ImageFolder',
            data_root=data_root,
            data_prefix='images',
            ann_file='annotations/train.txt',
            pipeline=[
                dict(type='SeedTransforms'),
                dict(type='LoadRobustImage'),
                dict(type='RandomCrop', crop_size=64),
                dict(type='RandomFlip', prob=0.5, direction='horizontal'),
                dict(type='RandomFlip', prob=0.5, direction='vertical'),
                dict(type='Rotate', angle=90., prob=0.5, random_negative_prob=0.),
                dict(type='PackInputs')
            ])))
val_dataloader = dict(
    batch_size=33,
    num_workers=1,
    persistent_workers=True,
    dataset=dict(
        data_root=data_root,
        data_prefix='images',
        ann_file='annotations/val.txt',
        pipeline=[
            dict(type='LoadRobustImage'),
            dict(type='CenterCrop', crop_size=64),
            dict(type='PackInputs')
        ]))
