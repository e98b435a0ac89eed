# Mask R-CNN at a small size, for a CPU: an encoder of 4 layers of 96 with patches of 8 pixels, not
# 16. All numbers are our choice.
_base_ = 'mask-rcnn_vitdet.py'

strides = [2, 4, 8, 16, 32]
extractor = dict(out_channels=32, featmap_strides=strides[:4])
model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True, embed_dims=96, num_layers=4, num_heads=4, feedforward_channels=384),
        patch_size=8,
        drop_path_rate=0.),
    neck=dict(in_channels=96, out_channels=32),
    rpn_head=dict(
        in_channels=32, feat_channels=32, num_convs=1, anchor_generator=dict(strides=strides)),
    roi_head=dict(
        bbox_roi_extractor=extractor,
        bbox_head=dict(
            type='ConvFCBBoxHead',
            num_shared_convs=1,
            num_shared_fcs=1,
            in_channels=32,
            conv_out_channels=32,
            fc_out_channels=96),
        mask_roi_extractor=extractor,
        mask_head=dict(in_channels=32, conv_out_channels=32, num_convs=2)))
