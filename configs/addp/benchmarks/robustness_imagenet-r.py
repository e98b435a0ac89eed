# ImageNet-R top-1 of the fine-tuned ViT-B: the paper reports 54.4 (Tab. 9).
#   python tools/test.py configs/addp/benchmarks/robustness_imagenet-r.py CHECKPOINT
# All four data sets and the row of the table: tools/evaluate_robustness.py (docs/robustness.md).
_base_ = './finetune_vit-b_100e.py'

test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ClassSubsetFolder',
        subset='imagenet-r',
        data_root='data/imagenet-r',
        pipeline=_base_.test_pipeline,
        test_mode=True))
test_evaluator = dict(_delete_=True, type='ClassSubsetAccuracy')
