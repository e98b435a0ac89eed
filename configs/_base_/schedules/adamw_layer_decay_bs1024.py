# Optimizer of the fine-tunings of a ViT at an effective batch of 1024 (paper Tab. 15).
optim_wrapper = dict(
    type='PortableAmpOptimWrapper',
    dtype='bfloat16',  # our choice; reference: float16
    optimizer=dict(
        type='AdamW',
        lr=1e-3 * 1024 / 256,  # reference release, B: base rate 1e-3 per 256 images -> 4e-3
        betas=(0.9, 0.999),
        weight_decay=0.05),
    constructor='LearningRateDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        layer_decay_rate=0.65,
        # Reference release: no decay for 1-D parameters, position table and CLS token.
        flat_decay_mult=0.,
        custom_keys={
            '.pos_embed': dict(decay_mult=0.),
            '.cls_token': dict(decay_mult=0.)
        }))
auto_scale_lr = dict(base_batch_size=1024, enable=False)
