# UperNet at a small size, for a CPU: an encoder of 4 layers of 96 with patches of 8 pixels, not 16.
# All numbers are our choice.
_base_ = 'upernet_vit.py'

model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True, embed_dims=96, num_layers=4, num_heads=4, feedforward_channels=384),
        patch_size=8,
        drop_path_rate=0.,
        out_indices=(0, 1, 2, 3)),
    neck=dict(embed_dim=96, rescales=[2, 1, 0.5, 0.25]),  # to strides 4 to 32, as patches of 16
    decode_head=dict(in_channels=[96] * 4, channels=64),
    auxiliary_head=dict(in_channels=96, channels=64))
