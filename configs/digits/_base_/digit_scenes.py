# What training on the digit scenes shares, for mmdet and mmseg. They are written by
# tools/make_digit_scenes.py.
_base_ = '../../_base_/schedules/dense_small.py'

data_root = 'work_dirs/digits/scenes/'
pretrained = 'work_dirs/digits/addp/epoch_25.pth'
train_dataloader = dict(batch_size=8, num_workers=0, persistent_workers=False)
val_dataloader = dict(batch_size=10, num_workers=0, persistent_workers=False)
