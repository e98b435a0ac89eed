# ADDP, ViT-B, 512 pixels: 32 x 32 tokens of stride 16, and as many patches of 16 x 16 pixels. It is
# not in the paper; the numbers here are our choice. Made for 8 GPUs of 80 GB:
#   tools/dist_train.sh configs/addp/addp_vit-b_512.py 8
# The frozen parts come from configs/vqgan/vqgan_512_stride16.py and
# configs/mage/mage_vit-b_512.py; the .pth checkpoints of these can be named as they are. To start
# from weights of 256 pixels (position tables are resized; of use if both have the same tokenizer):
#   --cfg-options model.init_cfg.type=Pretrained model.init_cfg.checkpoint=FILE
_base_ = './vit-b_1600e.py'

image_size = 512
num_codes = 1024
model = dict(
    data_preprocessor=dict(
        tokenizer=dict(
            model=dict(image_size=image_size, num_codes=num_codes),
            checkpoint='checkpoints/vqgan_512.safetensors'),
        token_predictor=dict(
            # One's own training has no rows for classes, see configs/mage/mage_vit-b_1600e.py.
            model=dict(_delete_=True, type='MAGE', arch='base'),
            checkpoint='checkpoints/mage_base_512.safetensors')))

# 8 GPUs x 32 images x 16 accumulated = 4096, as at 256 pixels.
train_dataloader = dict(batch_size=32)
_base_.train_dataloader.dataset.pipeline[1].crop.scale = image_size
optim_wrapper = dict(accumulative_counts=16)
auto_scale_lr = dict(base_batch_size=8 * 32)

train_cfg = dict(max_epochs=400)  # an epoch costs four times as much as at 256 pixels
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, end=40, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', T_max=360, begin=40, end=400, convert_to_iter_based=True)
]
