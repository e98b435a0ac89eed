# Fine-tuning of MAGE-B on VQ tokens, 100 epochs of ImageNet-1k (paper Tab. 7: 82.5 % top-1, which
# is MAGE's own number). Numbers: MAGE's release, where none is named ADDP's. Made for 8 GPUs:
#   tools/dist_train.sh configs/mage/benchmarks/finetune_mage-b_100e.py 8 --cfg-options \
#       model.backbone.init_cfg.checkpoint=CHECKPOINT
_base_ = '../../addp/benchmarks/finetune_vit-b_100e.py'

model = dict(
    backbone=dict(
        tokenizer=dict(
            model=dict(type='VQGAN', image_size=256),  # 16 x 16 tokens, 1024 codes
            checkpoint='checkpoints/vqgan.safetensors',
            dtype='float16'),
        pre_norm=True,  # MAGE's norm behind word and position; its dropout of 0.1 is left out
        init_cfg=dict(checkpoint='checkpoints/mage_base.safetensors', prefix=None)))
train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[1].crop.crop_ratio_range = (0.2, 1.0)
test_pipeline[1].scale = 292  # then the 256 pixels in the middle
train_dataloader = dict(  # no random erasing
    dataset=dict(pipeline=[*train_pipeline[:4], train_pipeline[-1]]))
val_dataloader = test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

optim_wrapper = dict(optimizer=dict(lr=2.5e-4 * 1024 / 256))  # -> 1e-3
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, end=5, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR', begin=5, end=100, eta_min_ratio=1e-3, convert_to_iter_based=True)
]
