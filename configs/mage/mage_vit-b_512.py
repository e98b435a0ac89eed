# Token predictor MAGE-B at 512 pixels: 32 x 32 tokens of the tokenizer of
# configs/vqgan/vqgan_512_stride16.py. Made for 8 GPUs of 80 GB:
#   tools/dist_train.sh configs/mage/mage_vit-b_512.py 8
_base_ = './mage_vit-b_1600e.py'

image_size = 512
model = dict(
    data_preprocessor=dict(
        tokenizer=dict(
            model=dict(image_size=image_size), checkpoint='checkpoints/vqgan_512.safetensors')))

# 8 GPUs x 32 images x 16 accumulated = 4096, as at 256 pixels; the split is our choice.
train_dataloader = dict(batch_size=32)
_base_.train_dataloader.dataset.pipeline[1].crop.scale = image_size
_base_.val_dataloader.dataset.pipeline[1].scale = image_size
_base_.val_dataloader.dataset.pipeline[2].crop_size = image_size
optim_wrapper = dict(accumulative_counts=16)
auto_scale_lr = dict(base_batch_size=8 * 32)

train_cfg = dict(max_epochs=800)  # our choice: an epoch costs four times as much as at 256 pixels
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, end=40, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', T_max=760, begin=40, end=800, convert_to_iter_based=True)
]
