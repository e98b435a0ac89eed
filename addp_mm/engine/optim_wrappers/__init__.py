"""Optimizer wrappers and how they are made."""
from .amp_optim_wrapper import PortableAmpOptimWrapper
from .grouped_optim_wrapper_constructor import GroupedOptimWrapperConstructor
from .joint_optim_wrapper import JointOptimWrapperConstructor, JointOptimWrapperDict
from .layer_decay_constructor import BackboneLayerDecayConstructor

__all__ = [
    'BackboneLayerDecayConstructor', 'GroupedOptimWrapperConstructor',
    'JointOptimWrapperConstructor', 'JointOptimWrapperDict', 'PortableAmpOptimWrapper'
]
