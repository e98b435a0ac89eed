# Nuclei for the trainings at the released sizes, on a GPU: crops of 256 pixels at the images' own
# scale. Data and lists as in nuclei_64.py. Sizes and epochs are our choice; no run was made.
nuclei_training = dict(
    type='ImageFolder',
    data_root='data/nuclei',
    data_prefix='images',
    ann_file='annotations/train.txt',
    pipeline=[
        dict(type='SeedTransforms'),
        dict(type='LoadRobustImage'),
        dict(type='RandomCrop', crop_size=256),
        dict(type='RandomFlip', prob=0.5, direction='horizontal'),
        dict(type='RandomFlip', prob=0.5, direction='vertical'),
        dict(type='Rotate', angle=90., prob=0.5, random_negative_prob=0.),
        dict(type='PackInputs')
    ])
nuclei_validation = dict(
    type='ImageFolder',
    data_root='data/nuclei',
    data_prefix='images',
    ann_file='annotations/val.txt',
    test_mode=True,
    pipeline=[
        dict(type='LoadRobustImage'),
        dict(type='CenterCrop', crop_size=256),
        dict(type='PackInputs')
    ])
nuclei_tokenizer = dict(  # the size of the release; norm and shortcut for new start values
    type='VQGAN',
    image_size=256,
    norm=dict(type='timm.layers.LayerNorm2d'),
    shortcut='input')
nuclei_hooks = [
    dict(type='SeedIterationHook'),
    dict(type='FrozenWeightsHook'),
    dict(type='EpochAccumulationHook')
]
