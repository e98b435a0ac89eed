# What every training of detection and segmentation shares.
custom_imports = dict(imports=['addp_mm'], allow_failed_imports=False)

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='mmpretrain.AtomicCheckpointHook', by_epoch=False, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'))
custom_hooks = [
    dict(type='mmpretrain.SeedIterationHook'),  # a resumed run repeats the uninterrupted one
    dict(type='mmpretrain.CheckpointFitHook', priority='LOWEST'),  # a checkpoint of another model?
    dict(type='mmpretrain.LabelCheckHook'),  # before training: do data and heads fit?
    dict(type='mmpretrain.EffectiveBatchHook'),  # is it auto_scale_lr.base_batch_size?
    dict(type='mmpretrain.FrozenWeightsHook'),  # of a tokenizer, where there is one
]

env_cfg = dict(
    cudnn_benchmark=True,  # all images of a training have one size
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))
visualizer = dict(name='visualizer', vis_backends=[dict(type='LocalVisBackend')])
log_processor = dict(by_epoch=False)
log_level = 'INFO'
load_from = None
resume = False  # AtomicCheckpointHook goes on by itself, if it is the same run
