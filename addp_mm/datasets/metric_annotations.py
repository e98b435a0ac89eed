"""The annotation file that a metric of COCO's kind reads, beside the data set that it scores.

It is read by pycocotools: ``api`` is a ``COCO``.
"""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.logging import MMLogger

from .labels import info_of, leaves, source_of


def check_same_pictures(api: Any, leaf: Any) -> None:
    """See that a data set (no wrapper) has the pictures and boxes of the metric's file.

    Raises:
        ValueError: If it has others.
    """
    for info in (info_of(leaf, index) for index in range(len(leaf))):
        named = api.imgs.get(info.get('img_id'), {}).get('file_name', 'none')
        if Path(named).name != Path(str(info.get('img_path'))).name:
            raise ValueError(f'The annotation file of the metric has another picture of the number '
                             f'{info.get("img_id")} than {source_of(leaf)}: {named}, there '
                             f'{info.get("img_path")}. Set the same ann_file for both.')
        known = {_corners(x['bbox']) for x in api.loadAnns(api.getAnnIds([info['img_id']]))}
        if not known.issuperset(tuple(map(round, x['bbox'])) for x in info.get('instances', ())):
            raise ValueError(f'The annotation file of the metric has other boxes on {named} than '
                             f'{source_of(leaf)}. Set the same ann_file for both.')


def warn_of_left_out(api: Any, names: tuple[str, ...], dataset: Any) -> None:
    """Labelled pictures that a metric of COCO's kind counts, and a data set does not give it."""
    given = {info_of(leaf, index).get('img_id') for leaf in leaves(dataset)
             for index in range(len(leaf))}
    numbers = set(api.getCatIds(catNms=list(names)))
    counted = {x['image_id'] for x in api.anns.values()
               if x['category_id'] in numbers and not x.get('iscrowd')}
    if left_out := len(counted - given):
        MMLogger.get_current_instance().warning(
            f'{left_out} of {len(counted)} labelled pictures in the annotation file of the metric '
            f'are not in the data set of {source_of(next(leaves(dataset)))} (look at its indices '
            'and filter_cfg): their objects count as missed, and all scores are too low. Write an '
            'annotation file of the pictures that are to be scored, and set it as ann_file of '
            'both.')


def check_ids(api: Any) -> None:
    """See that pycocotools can count with the ids of the objects; 0 means 'not found' to it.

    Raises:
        ValueError: If one is no number.
    """
    if 0 in map(_as_number, api.anns):
        MMLogger.get_current_instance().warning(
            'The annotation file of the metric has an object with the id 0, which COCO\'s scores '
            'count as missed even where it is found: number the annotations from 1.')


def _as_number(number: Any) -> float:
    try:
        return float(number)
    except ValueError as error:
        raise ValueError(f'The annotation file of the metric has an object with the id {number!r}, '
                         'and COCO\'s scores need numbers: number the annotations from 1.'
                         ) from error


def _corners(box: Sequence[float]) -> tuple[int, ...]:
    """COCO's (x, y, width, height) as mmdet's (x1, y1, x2, y2), in whole pixels."""
    return round(box[0]), round(box[1]), round(box[0] + box[2]), round(box[1] + box[3])
