"""Boxes in COCO's form, (x, y, width, height) in pixels: how well they fit each other.

Sizes are (width, height).
"""
from __future__ import annotations

from collections.abc import Sequence

Box = Sequence[float]
# Boxes may be drawn loosely: they are another object's where they fit worse than this.
_LOOSE, _LOOSE_PIXELS = 0.5, 3


def belongs(box: Box, own: Box, size: tuple[int, int]) -> bool:
    """Whether a box may be that of an outline, however loosely it was drawn.

    Args:
        box: The box as it was written.
        own: The smallest one around the outline.
        size: Of the picture, which a box may lead out of.
    """
    return max(overlap(box, own), overlap(_cut(box, size), own)) >= _LOOSE or all(
        abs(a - b) <= _LOOSE_PIXELS for a, b in zip(_corners(box), _corners(own), strict=True))


def leads_out(box: Box, size: tuple[int, int]) -> bool:
    """Whether a box reaches clearly beyond its picture."""
    return any(abs(a - b) > _LOOSE_PIXELS for a, b in zip(
        _corners(box), _corners(_cut(box, size)), strict=True))


def overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    (left, top, right, bottom), others = _corners(a), _corners(b)
    width = max(0., min(right, others[2]) - max(left, others[0]))
    height = max(0., min(bottom, others[3]) - max(top, others[1]))
    union = a[2] * a[3] + b[2] * b[3] - width * height
    return width * height / union if union > 0 else 0.


def _corners(box: Box) -> tuple[float, float, float, float]:
    return box[0], box[1], box[0] + box[2], box[1] + box[3]


def _cut(box: Box, size: tuple[int, int]) -> Box:
    """The part of a box that lies on the picture."""
    left, top, right, bottom = _corners(box)
    left, top, right, bottom = max(0, left), max(0, top), min(size[0], right), min(size[1], bottom)
    return left, top, right - left, bottom - top
