# The pre-trained ResNet-50 with FPN in the same recipe (our choice; the paper has no such run).
_base_ = 'mask-rcnn_vitdet-b_100e.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ResNet',
        depth=50,
        norm_eval=False,  # its batch norms know noisy images only: they learn those of photographs
        init_cfg=dict(
            type='Pretrained',
            checkpoint='checkpoints/addp_r50.pth',
            prefix='backbone.',
            must_fit=True)),
    neck=dict(
        _delete_=True,
        type='FPN',
        in_channels=[256, 512, 1024, 2048],
        out_channels=256,
        num_outs=5))
# No layer decay; statistics of normalisation over all GPUs.
optim_wrapper = dict(
    constructor='DefaultOptimWrapperConstructor',
    paramwise_cfg=dict(_delete_=True, norm_decay_mult=0.))
sync_bn = 'torch'
