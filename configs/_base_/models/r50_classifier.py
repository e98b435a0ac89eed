# ADDP's ResNet-50 as a classifier, with the losses of "ResNet strikes back" (RSB, arXiv 2110.00476;
# paper Tab. 17).
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(
        num_classes=1000,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True),
    backbone=dict(
        type='ResNet',
        depth=50,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/r50_300e/epoch_300.pth',
            prefix='backbone.',
            must_fit=True)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=2048,
        # Binary cross entropy with smoothing 0.1 (paper Tab. 17; RSB smooths not). mode='original'
        # smooths mixed labels as timm does, 'multi_label' would not. mmpretrain sums over the
        # classes, the reference takes the mean: 1 / 1000.
        loss=dict(
            type='LabelSmoothLoss',
            label_smooth_val=0.1,
            num_classes=1000,
            mode='original',
            use_sigmoid=True,
            loss_weight=1 / 1000)),
    train_cfg=dict(augments=[  # paper Tab. 17
        dict(type='Mixup', alpha=0.1),
        dict(type='CutMix', alpha=1.0)
    ]))
sync_bn = 'torch'  # our choice, as in the pre-training
