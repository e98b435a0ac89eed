# A small tokenizer at 128 pixels, stride 16: 8 x 8 tokens out of 512 codes, 9.6 M parameters. One
# optimizer, no discriminator, no downloaded weights: what to try first on a few thousand images.
# All numbers here are our choice.
_base_ = './vqgan_256.py'

image_size = 128
model = dict(
    tokenizer=dict(
        image_size=image_size,
        num_codes=512,
        code_dims=64,
        channels=64,
        num_res_blocks=1,
        # New start values learn several times as fast with these as with those of the release.
        norm=dict(type='timm.layers.LayerNorm2d'),
        shortcut='input'),
    # The codes follow averages of what they stand for (VQ-VAE, arXiv 1711.00937, appendix A.1).
    codebook=dict(ema_decay=0.99, revive_after=100, init_from_data=True),
    vq_loss=dict(entropy_weight=0.),
    perceptual_loss=None,
    discriminator=None)

train_dataloader = dict(batch_size=64)
_base_.train_dataloader.dataset.pipeline[1].crop.scale = image_size
val_dataloader = dict(batch_size=64)
_base_.val_dataloader.dataset.pipeline[1].scale = image_size
_base_.val_dataloader.dataset.pipeline[2].crop_size = image_size
_base_.test_dataloader.dataset.pipeline = _base_.val_dataloader.dataset.pipeline
test_dataloader = val_dataloader

optim_wrapper = dict(
    _delete_=True,
    type='PortableAmpOptimWrapper',
    dtype='bfloat16',
    optimizer=dict(type='Adam', lr=4e-4, betas=(0.9, 0.99)))
auto_scale_lr = dict(base_batch_size=64)
train_cfg = dict(max_epochs=100, val_interval=5)
custom_hooks = [
    dict(type='SeedIterationHook'),
    dict(type='EffectiveBatchHook', expected=64),
    dict(type='ReconstructionGridHook'),
    dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.001)
]
