# Stage 3: ADDP on nuclei, with what vqgan_nuclei-64.py and mage_nuclei-64.py have trained. What
# differs from the paper, and why: docs/benchmarks/dense_study.md.
_base_ = '_base_/addp_64.py'

model = dict(
    data_preprocessor=dict(
        diffusion=dict(
            per_image=True,
            # The sampler's late steps, where most tokens are known, are trained too.
            mask_ratio=dict(min_ratio=0.02, std=0.3))),
    backbone=dict(pre_norm=False, drop_rate=0.),
    neck=dict(drop_rate=0.),
    pixel_head=dict(
        type='MaskedPixelHead', mask_ratio=0.5, repeats=2, norm_pix=False, loss_weight=10.))
work_dir = 'work_dirs/nuclei/addp'
