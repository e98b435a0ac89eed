# As robustness_imagenet-c.py, but ImageNet's validation images are corrupted as they are loaded.
# Published numbers are of the official files: these are close to them, not comparable.
#   python tools/test.py configs/addp/benchmarks/robustness_imagenet-c_from-val.py CHECKPOINT
# Another one: --cfg-options test_dataloader.dataset.pipeline.3.corruption=fog (and .severity=3)
_base_ = './robustness_imagenet-c.py'

load, *resize_crop_pack = _base_.test_dataloader.dataset.pipeline
test_dataloader = dict(
    dataset=dict(
        data_root='data/imagenet/val',
        pipeline=[
            load,
            # As ImageNet-C was made (Hendrycks and Dietterich 2019).
            dict(type='ResizeEdge', scale=256, backend='pillow', interpolation='bilinear'),
            dict(type='CenterCrop', crop_size=224),
            dict(type='CorruptImage', corruption='gaussian_noise', severity=1),
            *resize_crop_pack
        ]))
