# The row "MAGE" of paper Tab. 2: ViT-L on VQ tokens (43.1 mIoU).
_base_ = 'upernet_vit-l_40k.py'

model = dict(
    backbone=dict(
        pre_norm=True,  # as MAGE's encoder has it
        tokenizer=dict(
            model=dict(type='mmpretrain.VQGAN', image_size=256),
            checkpoint='checkpoints/vqgan.safetensors'),
        init_cfg=dict(checkpoint='checkpoints/mage_large.safetensors', prefix=None)))
