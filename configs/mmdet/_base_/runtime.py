# What every detection training shares.
_base_ = '../../_base_/dense_runtime.py'

default_scope = 'mmdet'
default_hooks = dict(
    checkpoint=dict(interval=5000), visualization=dict(type='DetVisualizationHook'))
visualizer = dict(type='DetLocalVisualizer')
log_processor = dict(type='LogProcessor', window_size=50)
