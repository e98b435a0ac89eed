# Stage 4: ADDP on nuclei, with what vqgan_nuclei-64.py, mage_nuclei-64.py and mae_nuclei-64.py have
# trained. What differs from the paper, and why: docs/benchmarks/dense_study.md.
_base_ = '_base_/addp_64.py'

model = dict(
    data_preprocessor=dict(
        diffusion=dict(
            per_image=True,
            # The sampler's late steps, where most tokens are known, are trained too.
            mask_ratio=dict(min_ratio=0.02, std=0.3))),
    backbone=dict(
        pre_norm=False,
        drop_rate=0.,
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/nuclei/mae/epoch_40.pth')),
    neck=dict(drop_rate=0., table_std=0.15))
# At the full rate the encoder would forget what stands where.
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            'backbone': dict(lr_mult=0.1),
            'backbone.pos_embed': dict(lr_mult=0.1, decay_mult=0.)
        }))
work_dir = 'work_dirs/nuclei/addp'
