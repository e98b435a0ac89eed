# ViT-B from scratch on VQ tokens, 300 epochs of ImageNet-1k at 256 pixels (paper Tab. 1 and 13).
# The paper reports 81.6 % top-1, and 82.6 % on pixels. Made for 8 GPUs:
#   tools/dist_train.sh configs/addp/benchmarks/scratch_vit-b-tokens_300e.py 8
_base_ = './scratch_vit-b_300e.py'

# Augmentation and normalisation stay those of pixels; the frozen tokenizer takes the latter back.
model = dict(
    backbone=dict(
        tokenizer=dict(
            model=dict(type='VQGAN', image_size=256),  # 16 x 16 tokens, 1024 codes
            checkpoint='checkpoints/vqgan.safetensors',
            dtype='float16'),
        pre_norm=True))  # MAGE's norm behind word and position
