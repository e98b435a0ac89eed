# ADDP's ViT-B as a classifier (reference release): no norm behind the position table, the average
# of the patch tokens, a new norm, a linear head. The CLS token stays but is not read.
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(  # ImageNet's mean and std, as the encoder is pre-trained with
        num_classes=1000,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True),
    backbone=dict(
        type='ADDPViT',
        arch='base',
        img_size=256,
        patch_size=16,
        drop_rate=0.,
        drop_path_rate=0.1,  # paper Tab. 15
        pre_norm=False,  # reference release; True keeps the norm of the pre-training
        final_norm=False,
        out_type='avg_featmap',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/vit-b_1600e/epoch_1600.pth',
            prefix='backbone.')),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=768,
        loss=dict(  # paper Tab. 15; of mixed labels, as timm smooths them
            type='LabelSmoothLoss', label_smooth_val=0.1, num_classes=1000, mode='original'),
        init_cfg=dict(type='TruncNormal', layer='Linear', std=2e-5)),  # reference release
    train_cfg=dict(augments=[  # paper Tab. 15: one of the two for each batch, drawn evenly
        dict(type='Mixup', alpha=0.8),
        dict(type='CutMix', alpha=1.0)
    ]))
