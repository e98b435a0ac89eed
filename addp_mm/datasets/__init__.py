"""Data sets and their pipelines."""
from . import transforms
from .class_subset_folder import ClassSubsetFolder
from .digit_scenes import DIGIT_CLASSES, SCENE_CLASSES, write_digit_scenes
from .digits import write_digits
from .image_folder import ImageFolder, ImageNetFolder

__all__ = [
    'ClassSubsetFolder', 'DIGIT_CLASSES', 'ImageFolder', 'ImageNetFolder', 'SCENE_CLASSES',
    'transforms', 'write_digit_scenes', 'write_digits'
]
