"""Optimizer wrappers and how they are made."""
from .amp_optim_wrapper import PortableAmpOptimWrapper
from .grouped_optim_wrapper_constructor import GroupedOptimWrapperConstructor
from .joint_optim_wrapper import JointOptimWrapperConstructor, JointOptimWrapperDict

__all__ = [
    'GroupedOptimWrapperConstructor', 'JointOptimWrapperConstructor', 'JointOptimWrapperDict',
    'PortableAmpOptimWrapper'
]
