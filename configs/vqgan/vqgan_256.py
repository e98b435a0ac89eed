# The MaskGIT tokenizer at 256 pixels, stride 16: 16 x 16 tokens out of 1024 codes. Architecture,
# schedule and value range are MaskGIT's (arXiv 2202.04200), which reports a reconstruction FID of
# 2.28; the losses are those of taming-transformers (arXiv 2012.09841). Made for 8 GPUs:
#   tools/dist_train.sh configs/vqgan/vqgan_256.py 8
# Any folder of images will do: set data_root of the data sets of train_ and val_dataloader.
_base_ = [
    '../_base_/models/vqgan_256.py', '../_base_/datasets/imagenet_256.py',
    '../_base_/datasets/imagenet_256_val.py', '../_base_/default_runtime.py'
]

# MaskGIT config: batch 256, 1e-4 for both networks, constant. The split on 8 GPUs is our choice.
# Our choice: bfloat16 on a GPU; both references train in float32.
network = dict(
    type='PortableAmpOptimWrapper',
    dtype='bfloat16',
    optimizer=dict(type='Adam', lr=1e-4, betas=(0.5, 0.9)))  # taming; MaskGIT: (0.0, 0.99)
optim_wrapper = dict(
    constructor='JointOptimWrapperConstructor', tokenizer=network, discriminator=network)
auto_scale_lr = dict(base_batch_size=256, enable=False)

# MaskGIT config: 1,000,000 steps of 256 images, which is 200 times ImageNet.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=200, val_interval=1)
test_cfg = dict()

train_dataloader = dict(batch_size=32)
test_dataloader = _base_.val_dataloader
val_evaluator = [
    dict(type='ReconstructionQuality'),
    dict(type='VariationKept'),
    dict(type='CodebookUsage')
]
test_evaluator = val_evaluator

custom_hooks = [
    *_base_.custom_hooks,
    dict(type='EffectiveBatchHook', expected=256),
    dict(type='ReconstructionGridHook'),
    # MaskGIT config: averages of the weights, decay 0.999; a checkpoint's state_dict holds them.
    dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.001)
]
default_hooks = dict(
    checkpoint=dict(save_best='reconstruction/psnr', rule='greater', max_keep_ckpts=2))
