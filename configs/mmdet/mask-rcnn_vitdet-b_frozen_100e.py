# What the features themselves are worth: the encoder stays as pre-trained (our choice).
_base_ = 'mask-rcnn_vitdet-b_100e.py'

model = dict(
    backbone=dict(
        frozen_stages=12,
        drop_path_rate=0.,
        window_size=16,  # the grid of the pre-training
        pre_norm=True,  # frozen features are read as they were pre-trained
        final_norm=True))
