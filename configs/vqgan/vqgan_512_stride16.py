# The MaskGIT tokenizer at 512 pixels, stride 16: 32 x 32 tokens. A token stands for 16 x 16 pixels.
_base_ = './vqgan_256.py'

image_size = 512  # MaskGIT's larger size
model = dict(
    tokenizer=dict(image_size=image_size),
    # Four times the iterations, because each has a quarter of the batch, see below.
    codebook=dict(revive_after=2000),
    adversarial_loss=dict(start=40000))

# Our choice: 8 GPUs x 8 images x 4 accumulated = 256. An iteration counts before accumulation.
train_dataloader = dict(
    batch_size=8,
    dataset=dict(pipeline=[
        dict(type='SeedTransforms'),
        dict(
            type='LoadRobustImage',
            crop=dict(
                type='RandomResizedCrop',
                scale=image_size,
                crop_ratio_range=(0.2, 1.0),
                backend='pillow',
                interpolation='bicubic')),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackInputs')
    ]))
optim_wrapper = dict(
    tokenizer=dict(accumulative_counts=4), discriminator=dict(accumulative_counts=4))
auto_scale_lr = dict(base_batch_size=64)  # mmengine leaves accumulation out

val_dataloader = dict(
    batch_size=8,
    dataset=dict(pipeline=[
        dict(type='LoadRobustImage'),
        dict(type='ResizeEdge', scale=image_size, backend='pillow', interpolation='bicubic'),
        dict(type='CenterCrop', crop_size=image_size),
        dict(type='PackInputs')
    ]))
test_dataloader = val_dataloader
