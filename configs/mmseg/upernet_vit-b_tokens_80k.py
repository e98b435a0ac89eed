# The row "MAGE" of paper Tab. 7: the encoder reads VQ tokens instead of pixels (39.6 mIoU). The
# encoder's weights are a token predictor's, as configs/mage trains them.
_base_ = 'upernet_vit-b_80k.py'

model = dict(
    backbone=dict(
        pre_norm=True,  # as MAGE's encoder has it
        tokenizer=dict(
            model=dict(type='mmpretrain.VQGAN', image_size=256),
            checkpoint='checkpoints/vqgan.safetensors'),
        init_cfg=dict(checkpoint='checkpoints/mage_base.safetensors', prefix=None)))
