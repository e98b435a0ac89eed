"""Data sets and their pipelines."""
from . import picture_backend, transforms
from .class_subset_folder import ClassSubsetFolder
from .digit_scenes import DIGIT_CLASSES, SCENE_CLASSES, write_digit_scenes
from .digits import write_digits
from .image_folder import ImageFolder, ImageNetFolder
from .lmdb_folder import LmdbFolder

__all__ = [
    'ClassSubsetFolder', 'DIGIT_CLASSES', 'ImageFolder', 'ImageNetFolder', 'LmdbFolder',
    'SCENE_CLASSES', 'picture_backend', 'transforms', 'write_digit_scenes', 'write_digits'
]
