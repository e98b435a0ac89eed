# What every segmentation training shares.
_base_ = '../../_base_/dense_runtime.py'

default_scope = 'mmseg'
default_hooks = dict(
    checkpoint=dict(interval=8000), visualization=dict(type='SegVisualizationHook'))
sync_bn = 'torch'  # batch statistics over all GPUs, where there are several
visualizer = dict(type='SegLocalVisualizer')
