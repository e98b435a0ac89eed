# Optimizer of the fine-tunings of a ResNet-50 at an effective batch of 2048 (paper Tab. 17).
optim_wrapper = dict(
    type='PortableAmpOptimWrapper',
    dtype='bfloat16',  # our choice; reference: float16
    optimizer=dict(
        type='AdamW',
        # Not legible in the paper; the release's base rate of 1e-3 per 256 images, and RSB A3.
        lr=1e-3 * 2048 / 256,
        betas=(0.9, 0.999),
        weight_decay=0.02),  # paper Tab. 17; the release falls back to AdamW's own 0.01
    constructor='GroupedOptimWrapperConstructor',
    paramwise_cfg=dict(flat_decay_mult=0.))  # RSB: not for biases and norms
auto_scale_lr = dict(base_batch_size=2048, enable=False)
