# What the features themselves are worth: the encoder stays as pre-trained (our choice).
_base_ = 'mask-rcnn_vitdet-b_100e.py'

model = dict(backbone=dict(frozen_stages=12, drop_path_rate=0.))
