# Linear probing of the frozen encoder of stage 2's MAGE, which reads the tokens of stage 1.
#   python tools/train.py configs/digits/linear_tokens.py
_base_ = 'linear.py'

model = dict(
    backbone=dict(
        tokenizer=dict(
            model=_base_.tokenizer, checkpoint='work_dirs/digits/vqgan/epoch_16.pth'),
        pre_norm=True,  # MAGE's norm behind word and position
        init_cfg=dict(checkpoint='work_dirs/digits/mage/epoch_80.pth', prefix=None)))
work_dir = 'work_dirs/digits/linear_tokens'
