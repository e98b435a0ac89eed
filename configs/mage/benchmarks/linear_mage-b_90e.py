# Linear probing of MAGE-B on VQ tokens, 90 epochs of ImageNet-1k (paper Tab. 7: 74.7 % top-1, which
# is MAGE's own number). Numbers: MAGE's release. Made for 8 GPUs:
#   tools/dist_train.sh configs/mage/benchmarks/linear_mage-b_90e.py 8 --cfg-options \
#       model.backbone.init_cfg.checkpoint=CHECKPOINT
_base_ = '../../addp/benchmarks/linear_vit-b_90e.py'

model = dict(
    backbone=dict(
        tokenizer=dict(
            model=dict(type='VQGAN', image_size=256),  # 16 x 16 tokens, 1024 codes
            checkpoint='checkpoints/vqgan.safetensors',
            dtype='float16'),
        pre_norm=True,  # MAGE's norm behind word and position; its dropout of 0.1 is left out
        init_cfg=dict(checkpoint='checkpoints/mage_base.safetensors', prefix=None)))
train_dataloader = dict(batch_size=512)  # 8 GPUs x 512 images = 4096; the split is our choice
_base_.train_dataloader.dataset.pipeline[1].crop.crop_ratio_range = (0.2, 1.0)  # MAGE
_base_.val_dataloader.dataset.pipeline[1].scale = 292  # MAGE: 256 / 0.875
_base_.test_dataloader.dataset.pipeline = _base_.val_dataloader.dataset.pipeline
optim_wrapper = dict(optimizer=dict(lr=0.1 * 4096 / 256))  # -> 1.6
auto_scale_lr = dict(base_batch_size=4096)
custom_hooks = [*_base_.custom_hooks[:-1], dict(type='EffectiveBatchHook', expected=4096)]
