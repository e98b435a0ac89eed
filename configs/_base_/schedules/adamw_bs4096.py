# Optimizer of the pre-trainings at an effective batch of 4096 (paper Tab. 14; reference release).
# A config derived from this one states batch_size and accumulative_counts for its model on 8 GPUs.
optim_wrapper = dict(
    type='PortableAmpOptimWrapper',
    dtype='bfloat16',  # our choice; reference: float16 with loss_scale=dict(growth_interval=500)
    cpu_dtype='auto',  # our choice, without a GPU: bfloat16 where the processor has it
    optimizer=dict(
        type='AdamW',
        lr=1e-4 * 4096 / 256,  # reference release: base rate 1e-4 per 256 images -> 1.6e-3
        betas=(0.9, 0.95),
        weight_decay=0.05,
        fused=True),  # our choice: one pass over the weights
    constructor='GroupedOptimWrapperConstructor',
    # Reference release: no decay for 1-D parameters; tokens and position tables do decay.
    paramwise_cfg=dict(flat_decay_mult=0.),
    clip_grad=dict(max_norm=3.0))  # reference release
