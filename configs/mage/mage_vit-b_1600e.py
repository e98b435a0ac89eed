# Token predictor MAGE-B, 1600 epochs of ImageNet-1k at 256 pixels (MAGE, arXiv 2211.09117; numbers
# of its reference release). Made for 8 GPUs of 80 GB:
#   tools/dist_train.sh configs/mage/mage_vit-b_1600e.py 8
_base_ = [
    '../_base_/datasets/imagenet_256.py', '../_base_/datasets/imagenet_256_val.py',
    '../_base_/schedules/adamw_bs4096.py', '../_base_/default_runtime.py'
]

model = dict(
    type='MAGETraining',
    data_preprocessor=dict(
        type='TokenDataPreprocessor',
        tokenizer=dict(
            model=dict(type='VQGAN', image_size=256),
            checkpoint='checkpoints/vqgan.safetensors',
            dtype='float16')),
    # The release has 2025 rows in its vocabulary; a new training needs only codes + 2.
    token_predictor=dict(type='MAGE', arch='base', decoder_depth=8, decoder_heads=16),
    mask_ratio=dict(type='TruncatedNormalMaskRatio', mean=0.55, std=0.25),
    drop_ratio=0.5,
    loss=dict(type='MaskedTokenLoss', target='hard', label_smoothing=0.1))

# 8 GPUs x 256 images x 2 accumulated = 4096; the split is our choice.
train_dataloader = dict(batch_size=256)
optim_wrapper = dict(
    accumulative_counts=2,
    optimizer=dict(lr=1.5e-4 * 4096 / 256))  # base rate 1.5e-4 per 256 images -> 2.4e-3
auto_scale_lr = dict(base_batch_size=8 * 256, enable=False)
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='GenerationPreviewHook', interval=50),  # 16 images in vis_data/vis_image
    dict(type='EffectiveBatchHook', expected=4096)
]

max_epochs, warmup_epochs = 1600, 40
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=20)
val_evaluator = dict(type='MaskedTokenCrossEntropy')  # held out, for each of five mask ratios
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, end=warmup_epochs, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        T_max=max_epochs - warmup_epochs,
        begin=warmup_epochs,
        end=max_epochs,
        convert_to_iter_based=True)
]
default_hooks = dict(checkpoint=dict(interval=5, milestone_interval=50))  # every 50 stay for good
