# One corruption of ImageNet-C at one severity, top-1 of the fine-tuned ViT-B. The paper reports
# 57.3 for 100 - mCE over all 15 x 5 of them (Tab. 9), which tools/evaluate_robustness.py computes
# (docs/robustness.md), also from the predictions that this stores:
#   python tools/test.py configs/addp/benchmarks/robustness_imagenet-c.py CHECKPOINT \
#       --out predictions/imagenet-c_fog_3.pkl \
#       --cfg-options test_dataloader.dataset.data_root=data/imagenet-c/fog/3
_base_ = './finetune_vit-b_100e.py'

test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ClassSubsetFolder',
        subset='imagenet-1k',
        data_root='data/imagenet-c/gaussian_noise/1',
        # The images have 224 pixels, which become 256 (our choice: as in the validation).
        pipeline=_base_.test_pipeline,
        test_mode=True))
test_evaluator = dict(_delete_=True, type='ClassSubsetAccuracy')
