# What every training of this toolbox shares; names are those of OpenMMLab's default_runtime.
default_scope = 'mmpretrain'
custom_imports = dict(imports=['addp_mm'], allow_failed_imports=False)

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='AtomicCheckpointHook', interval=1, max_keep_ckpts=3),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='VisualizationHook', enable=False))
custom_hooks = [
    dict(type='CheckpointFitHook', priority='LOWEST'),  # a checkpoint of another model?
    dict(type='LabelCheckHook'),  # are classes the same everywhere, is something learned?
    dict(type='SeedIterationHook'),  # a resumed run repeats the draws of the uninterrupted one
    dict(type='FrozenWeightsHook'),  # a checkpoint names the frozen files it was trained with
    dict(type='EpochAccumulationHook'),  # no accumulated gradient is lost at a checkpoint
]

env_cfg = dict(
    cudnn_benchmark=True,  # reference release
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))

visualizer = dict(
    type='UniversalVisualizer',
    vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])

log_level = 'INFO'
load_from = None
resume = False  # AtomicCheckpointHook goes on by itself, if it is the same run
randomness = dict(seed=0, diff_rank_seed=True)  # reference release: seed 0 + rank
