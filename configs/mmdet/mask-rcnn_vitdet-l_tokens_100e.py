# The row "MAGE" of paper Tab. 2: ViT-L on VQ tokens (31.4 box AP, 27.6 mask AP).
_base_ = 'mask-rcnn_vitdet-l_100e.py'

model = dict(
    backbone=dict(
        pre_norm=True,  # as MAGE's encoder has it
        tokenizer=dict(
            model=dict(type='mmpretrain.VQGAN', image_size=256),
            checkpoint='checkpoints/vqgan.safetensors'),
        init_cfg=dict(checkpoint='checkpoints/mage_large.safetensors', prefix=None)))
