# The MaskGIT tokenizer at 512 pixels, stride 16: 32 x 32 tokens. A token stands for 16 x 16 pixels.
_base_ = './vqgan_256.py'

image_size = 512  # MaskGIT's larger size
model = dict(
    tokenizer=dict(image_size=image_size),
    # Four times the iterations, because each has a quarter of the batch, see below.
    codebook=dict(revive_after=2000),
    adversarial_loss=dict(start=40000))

# Our choice: 8 GPUs x 8 images x 4 accumulated = 256. An iteration counts before accumulation.
train_dataloader = dict(batch_size=8)
_base_.train_dataloader.dataset.pipeline[1].crop.scale = image_size
optim_wrapper = dict(
    tokenizer=dict(accumulative_counts=4), discriminator=dict(accumulative_counts=4))
auto_scale_lr = dict(base_batch_size=64)  # mmengine leaves accumulation out

val_dataloader = dict(batch_size=8)
_base_.val_dataloader.dataset.pipeline[1].scale = image_size
_base_.val_dataloader.dataset.pipeline[2].crop_size = image_size
_base_.test_dataloader.dataset.pipeline = _base_.val_dataloader.dataset.pipeline
test_dataloader = val_dataloader
