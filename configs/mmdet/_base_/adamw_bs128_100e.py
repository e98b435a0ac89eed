# 100 epochs at batch 128 (paper Tab. 18). The nominal 118,000 images of detectron2's schedule.
batch_size, epochs, warmup_iters = 128, 100, 250
max_iters = -(-epochs * 118_000 // batch_size)  # 92,188
auto_scale_lr = dict(base_batch_size=batch_size, enable=False)

optim_wrapper = dict(
    type='mmpretrain.PortableAmpOptimWrapper',  # mixed precision; float32 without a GPU
    dtype='bfloat16',
    # Boxes need more than 8 bits: anchors and proposals follow the dtype of the scores.
    full_precision=('rpn_head', 'roi_head.bbox_roi_extractor', 'roi_head.bbox_head',
                    'roi_head.mask_roi_extractor', 'roi_head.mask_head'),
    constructor='mmpretrain.BackboneLayerDecayConstructor',
    optimizer=dict(
        type='AdamW',
        # The paper's is lost. Our choice: detectron2's 1e-4 for 64 images, by the linear rule.
        lr=2e-4,
        betas=(0.9, 0.999),  # paper Tab. 18
        weight_decay=0.1),  # paper Tab. 18
    paramwise_cfg=dict(
        layer_decay_rate=0.8,  # paper Tab. 18
        norm_decay_mult=0.,  # detectron2
        custom_keys=dict(pos_embed=dict(decay_mult=0.))))  # detectron2

train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=5000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, end=warmup_iters),  # detectron2
    dict(  # paper Tab. 18: cosine
        type='CosineAnnealingLR',
        begin=warmup_iters,
        end=max_iters,
        by_epoch=False)
]
