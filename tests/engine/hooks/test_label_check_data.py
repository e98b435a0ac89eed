"""LabelCheckHook on labels that nothing, or the wrong thing, would be learned from."""
from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS, MODELS, DefaultScope
from PIL import Image
from torch import nn

from addp_mm.datasets import DIGIT_CLASSES, SCENE_CLASSES, ImageFolder, write_digit_scenes
from addp_mm.engine.hooks import LabelCheckHook
from tests.helpers.dense_runs import needs_dense

Change = Callable[[dict], object]


@pytest.fixture(scope='module')
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digit_scenes(tmp_path_factory.mktemp('labels') / 'scenes', 64, 4, 3)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    MMLogger.get_current_instance().handlers.append(caplog.handler)
    return caplog


def build(scope: str, **cfg: object) -> object:
    with DefaultScope.overwrite_default_scope(scope):
        return DATASETS.build(cfg)


def coco(scenes: Path, part: str = 'training', change: Change | None = None, wrap: tuple = (),
         **options: object) -> object:
    """A data set of detection, its annotations changed, inside of wrappers."""
    content = json.loads((scenes / 'coco' / f'instances_{part}.json').read_text())
    if change is not None:
        change(content)
    path = scenes / 'coco' / f'changed_{part}.json'
    path.write_text(json.dumps(content))
    cfg = dict(type='CocoDataset', data_root=str(scenes), ann_file=f'coco/{path.name}',
               data_prefix=dict(img=f'images/{part}/'), metainfo=dict(classes=DIGIT_CLASSES),
               pipeline=[], **options)
    for wrapper in wrap:
        inner = dict(datasets=[cfg, copy.deepcopy(cfg)]) if wrapper == 'ConcatDataset' else dict(
            dataset=cfg)
        extra = dict(RepeatDataset=dict(times=2), MultiImageMixDataset=dict(pipeline=[]),
                     ClassBalancedDataset=dict(oversample_thr=0.1)).get(wrapper, {})
        cfg = dict(type=wrapper, **inner, **extra)
    return build('mmdet', **cfg)


def ade(scenes: Path, part: str = 'training', **options: object) -> object:
    return build('mmseg', **{**dict(
        type='BaseSegDataset', data_root=str(scenes), reduce_zero_label=True,
        data_prefix=dict(img_path=f'images/{part}', seg_map_path=f'annotations/{part}'),
        metainfo=dict(classes=SCENE_CLASSES),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]), **options})


class Head(nn.Module):
    """What heads of the libraries have."""

    def __init__(self, num_classes: int = 10, **attributes: object) -> None:
        super().__init__()
        self.num_classes = num_classes
        for name, value in attributes.items():
            setattr(self, name, value)


def runner_of(train: object, val: object | None = None, metrics: tuple = (),
              **heads: nn.Module) -> SimpleNamespace:
    """What the hook reads of a runner."""
    model = nn.Module()
    for name, head in heads.items():
        model.add_module(name, head)
    loop = SimpleNamespace(evaluator=SimpleNamespace(metrics=metrics))
    loaders = [SimpleNamespace(dataset=x) for x in (train, val or train)]
    return SimpleNamespace(
        model=model, train_dataloader=loaders[0], val_dataloader=loaders[1],
        test_dataloader=loaders[1], val_loop=loop, test_loop=loop)


def turn_round(content: dict) -> None:
    content['categories'].reverse()


def all_crowds(content: dict) -> None:
    for annotation in content['annotations']:
        annotation['iscrowd'] = 1


def empty_boxes(content: dict) -> None:
    for annotation in content['annotations']:
        annotation['bbox'][2:] = [0, 0]


def no_outlines(content: dict) -> None:
    for annotation in content['annotations']:
        annotation.pop('segmentation')


WRAPPERS = [(), ('RepeatDataset', ), ('ConcatDataset', ), ('ClassBalancedDataset', ),
            ('MultiImageMixDataset', ), ('RepeatDataset', 'MultiImageMixDataset')]


@needs_dense
@pytest.mark.parametrize('wrap', WRAPPERS, ids=repr)
def test_another_order_of_categories_is_refused(scenes: Path, wrap: tuple):
    hook, order = LabelCheckHook(), '.*not name the same classes in the same order: label 0 is'
    good, turned = coco(scenes, wrap=wrap), coco(scenes, 'validation', turn_round, wrap)
    hook.before_train(runner_of(good, coco(scenes, 'validation')))
    for train, val in ((good, turned), (turned, good)):
        with pytest.raises(ValueError, match=f'changed_.*json{order}'):
            hook.before_train(runner_of(train, val))
    with pytest.raises(ValueError, match=order):
        hook.before_test(runner_of(good, turned))


@needs_dense
def test_the_file_of_the_metric_is_compared(scenes: Path):
    from mmdet.evaluation import CocoMetric
    val = coco(scenes, 'validation', turn_round)
    metric = CocoMetric(ann_file=val.ann_file)
    with pytest.raises(ValueError, match='annotation file of the metric and .*label 0'):
        LabelCheckHook().before_train(runner_of(coco(scenes), coco(scenes, 'validation'),
                                                (metric, )))


@needs_dense
def test_the_classes_of_a_tested_checkpoint_are_compared(scenes: Path, log):
    hook, runner = LabelCheckHook(), runner_of(coco(scenes))
    hook.after_load_checkpoint(runner, dict(meta=dict(dataset_meta=dict(
        classes=DIGIT_CLASSES[::-1]))))
    with pytest.raises(ValueError, match="the checkpoint do not name .*'0' in the one, '9' in"):
        hook.before_test(runner)
    hook.after_load_checkpoint(runner, dict(meta=dict(dataset_meta=dict(classes=tuple('abc')))))
    hook.before_test(runner)
    assert "label 0 is '0' in the one, 'a' in the other. Make sure" in log.text
    hook.after_load_checkpoint(runner, dict(state_dict={}))
    hook.before_test(runner)


@needs_dense
@pytest.mark.parametrize('wrap', [(), ('RepeatDataset', 'MultiImageMixDataset')], ids=repr)
@pytest.mark.parametrize('change', [all_crowds, empty_boxes])
def test_instances_that_nothing_is_learned_from(scenes: Path, log, change: Change, wrap: tuple):
    with pytest.raises(ValueError, match='changed_training.json has no instance to learn from: '):
        LabelCheckHook().before_train(runner_of(coco(scenes, 'training', change, wrap)))
    LabelCheckHook().before_test(runner_of(coco(scenes, 'training', change, wrap)))
    assert 'Scores on it mean nothing' in log.text


@needs_dense
def test_usable_instances_are_counted(scenes: Path, log):
    def change(content: dict) -> None:
        content['annotations'][0]['iscrowd'] = 1
        content['categories'].append(dict(id=99, name='letter'))
    LabelCheckHook().before_train(runner_of(coco(scenes, 'training', change)))
    assert 'besides 1 crowds' in log.text and 'usable instances in 4 images' in log.text
    assert '1 categories that are not in metainfo.classes: letter' in log.text
    with pytest.raises(ValueError, match='no outline .segmentation. of 9 of 9 instances'):
        LabelCheckHook().before_train(
            runner_of(coco(scenes, 'training', no_outlines), mask_head=Head()))


def twice_as_wide(content: dict) -> None:
    for image in content['images']:
        image['width'] *= 2


def renamed_files(content: dict) -> None:
    for image in content['images']:
        image['file_name'] = f'gone_{image["file_name"]}'


def one_id(content: dict) -> None:
    for image in content['images']:
        image['id'] = 0


def other_outlines(content: dict) -> None:
    """A mask of the first pixel alone, outside of all boxes."""
    for annotation in content['annotations']:
        annotation['bbox'] = [20, 20, 9, 9]
        annotation['segmentation'] = dict(size=[64, 64], counts=[0, 1, 64 * 64 - 1])


@needs_dense
@pytest.mark.parametrize('change, message', [
    (twice_as_wide, 'has 128 x 64 pixels, does not fit .*00000.jpg, which has 64 x 64'),
    (renamed_files, 'Expected a file at .*gone_00000.jpg for .*changed_training.json'),
    (one_id, 'changed_training.json is not .*: it has the id 0 more than once in images'),
    (other_outlines, 'outline .segmentation. that does not lie in its box on .*00000.jpg')])
def test_labels_of_other_pictures_are_refused(scenes: Path, change: Change, message: str):
    with pytest.raises(ValueError, match=message):
        LabelCheckHook().before_train(runner_of(coco(scenes, 'training', change)))


@needs_dense
@pytest.mark.parametrize('least', [0, 1])
def test_outlines_of_two_points(scenes: Path, log, least: int):
    def change(content: dict) -> None:
        for annotation in content['annotations'][least:]:
            annotation['segmentation'] = [corners_of(annotation)]
    data = coco(scenes, 'training', change)
    data.pipeline.transforms.append(SimpleNamespace(with_mask=True))
    if least:
        LabelCheckHook().before_train(runner_of(data))
        assert 'fewer than three points, of 8 of 9 instances: mmdet leaves them out' in log.text
        return
    with pytest.raises(ValueError, match='of 9 of 9 instances: .* Write polygons as x1, y1'):
        LabelCheckHook().before_train(runner_of(data))


def corners_for_boxes(content: dict) -> None:
    for annotation in content['annotations']:
        annotation['bbox'] = corners_of(annotation)


def outlines_in_shares(content: dict) -> None:
    """Polygons of 0 to 1, as YOLO's."""
    for annotation in content['annotations']:
        left, top, right, bottom = (x / 64 for x in corners_of(annotation))
        annotation['segmentation'] = [[left, top, right, top, right, bottom]]


def rows_for_columns(content: dict) -> None:
    for annotation in content['annotations']:
        annotation['bbox'] = [40, 2, 20, 9]
        annotation['segmentation'] = [[2, 40, 11, 40, 11, 60]]


def corners_of(annotation: dict) -> list[float]:
    left, top, width, height = annotation['bbox']
    return [left, top, left + width, top + height]


@needs_dense
@pytest.mark.parametrize('change', [corners_for_boxes, outlines_in_shares, rows_for_columns])
def test_boxes_that_are_not_those_of_the_outlines_are_refused(scenes: Path, change: Change):
    with pytest.raises(ValueError, match=r'boxes .bbox. that do not fit the outlines .* of 9\. The '
                                         r'first is on .*jpg: \[.*Write both in pixels'):
        LabelCheckHook().before_train(runner_of(coco(scenes, 'training', change)))


@needs_dense
def test_a_few_boxes_may_be_wrong_and_boxes_without_outlines_lead_out(scenes: Path, log):
    def few(content: dict) -> None:
        content['annotations'] = content['annotations'][:3]
        content['annotations'][0]['bbox'] = [0, 0, 64, 64]

    def alone(content: dict) -> None:
        corners_for_boxes(content)
        no_outlines(content)
    LabelCheckHook().before_train(runner_of(coco(scenes, 'training', few)))
    assert 'lead out' not in log.text
    LabelCheckHook().before_train(runner_of(coco(scenes, 'training', alone)))
    assert 'lead out of their pictures' in log.text and 'not two corners' in log.text


@needs_dense
def test_maps_of_other_pictures_are_refused(scenes: Path, tmp_path: Path):
    for path in (scenes / 'annotations' / 'training').iterdir():
        Image.open(path).crop((0, 0, 64, 32)).save(tmp_path / path.name)
    data = ade(scenes, data_prefix=dict(img_path='images/training', seg_map_path=str(tmp_path)))
    with pytest.raises(ValueError, match=r'annotation .* has 64 x 32 pixels, does not fit .*00000'):
        LabelCheckHook().before_train(runner_of(data))


@needs_dense
def test_the_pictures_of_the_metric_are_compared(scenes: Path):
    from mmdet.evaluation import CocoMetric
    for change, message in ((renamed_files, 'metric has another picture of the number .*: gone_'),
                            (empty_boxes, 'metric has other boxes on 00000.jpg than')):
        metric = CocoMetric(ann_file=coco(scenes, 'validation', change).ann_file)
        with pytest.raises(ValueError, match=message):
            LabelCheckHook().before_test(runner_of(coco(scenes), coco(scenes, 'validation'),
                                                   (metric, )))


@needs_dense
@pytest.mark.parametrize('options, change, left_out', [
    ({}, None, False), (dict(indices=2), None, True), (dict(indices=2), all_crowds, False)])
def test_pictures_that_only_the_metric_knows_are_warned_of(
        scenes: Path, options: dict, change: Change | None, left_out: bool, log):
    from mmdet.evaluation import CocoMetric
    val = coco(scenes, 'validation', change, **options)
    runner = runner_of(coco(scenes), val, (CocoMetric(ann_file=val.ann_file), ))
    for check in (LabelCheckHook().before_train, LabelCheckHook().before_test):
        log.clear()
        check(runner)
        assert ('1 of 3 labelled pictures in the annotation file of the metric are not in the data '
                'set of' in log.text) == left_out


def numbered_from_zero(content: dict) -> None:
    for number, annotation in enumerate(content['annotations']):
        annotation['id'] = number


@needs_dense
@pytest.mark.parametrize('change', [numbered_from_zero, None])
def test_an_object_of_the_id_zero_is_warned_of(scenes: Path, change: Change | None, log):
    from mmdet.evaluation import CocoMetric
    val = coco(scenes, 'validation', change)
    LabelCheckHook().before_test(runner_of(coco(scenes), val, (CocoMetric(
        ann_file=val.ann_file), )))
    assert ('an object with the id 0' in log.text) == (change is not None)


@needs_dense
def test_ids_that_are_texts(scenes: Path):
    from mmdet.evaluation import CocoMetric

    def of_pictures(content: dict) -> None:
        for entry in content['images']:
            entry['id'] = f'picture {entry["id"]}'
        for entry in content['annotations']:
            entry['image_id'] = f'picture {entry["image_id"]}'

    def of_objects(content: dict) -> None:
        for entry in content['annotations']:
            entry['id'] = f'object {entry["id"]}'
    for change in (of_pictures, of_objects):
        val = coco(scenes, 'validation', change)
        runner = runner_of(coco(scenes), val, (CocoMetric(ann_file=val.ann_file), ))
        if change is of_pictures:
            LabelCheckHook().before_train(runner)
            continue
        with pytest.raises(ValueError, match="object with the id 'object .', and .* need numbers"):
            LabelCheckHook().before_train(runner)


@needs_dense
def test_pictures_of_joined_data_sets_are_all_known_to_the_metric(scenes: Path, log):
    from mmdet.evaluation import CocoMetric
    parts = [dict(type='CocoDataset', data_root=str(scenes), indices=indices, pipeline=[],
                  ann_file='coco/instances_validation.json', metainfo=dict(classes=DIGIT_CLASSES),
                  data_prefix=dict(img='images/validation/')) for indices in ([0, 1], [2])]
    val = build('mmdet', type='ConcatDataset', datasets=parts)
    metric = CocoMetric(ann_file=str(scenes / 'coco/instances_validation.json'))
    LabelCheckHook().before_test(runner_of(coco(scenes), val, (metric, )))
    assert 'are not in the data set' not in log.text


@needs_dense
def test_metrics_of_one_data_set_each_are_not_compared_with_the_others(scenes: Path):
    from mmdet.evaluation import CocoMetric, MultiDatasetsEvaluator
    parts = [coco(scenes, part) for part in ('training', 'validation')]
    metrics = [CocoMetric(ann_file=part.ann_file) for part in parts]
    val = build('mmdet', type='ConcatDataset', datasets=parts)
    runner = runner_of(parts[0], val, tuple(metrics))
    with pytest.raises(ValueError, match='Set the same ann_file for both'):
        LabelCheckHook().before_test(runner)
    runner.test_loop.evaluator = MultiDatasetsEvaluator(metrics, ['a', 'b'])
    LabelCheckHook().before_test(runner)


@needs_dense
def test_heads_with_classes_of_their_own_are_not_judged(scenes: Path):
    """HTC's second kind of map, proposals, texts, masks for all classes, borders of classes."""
    roi_head = nn.Module()
    roi_head.bbox_head = nn.ModuleList([Head(), Head()])
    roi_head.semantic_head, roi_head.mask_head = Head(183), Head(80, class_agnostic=True)
    LabelCheckHook().before_train(runner_of(
        coco(scenes), roi_head=roi_head, rpn_head=Head(1), bbox_head=Head(256, max_text_len=256),
        panoptic_head=Head(133)))
    borders = nn.ModuleList([Head(11, ignore_index=255), Head(2, boundary_threshold=0.1)])
    LabelCheckHook().before_train(runner_of(ade(scenes), auxiliary_head=borders))
    with pytest.raises(ValueError, match='model.auxiliary_head.1 has 2 classes'):
        borders[1] = Head(2)
        LabelCheckHook().before_train(runner_of(ade(scenes), auxiliary_head=borders))


def maps_with(scenes: Path, folder: Path, value: object, number: int) -> str:
    """A copy of the validation maps, the last of which has another value."""
    folder.mkdir()
    for path in sorted((scenes / 'annotations' / 'validation').iterdir()):
        pixels = np.array(Image.open(path))
        Image.fromarray(pixels).save(folder / path.name)
    if isinstance(value, int):
        pixels = pixels.astype(np.uint8 if value < 256 else np.uint16)
        pixels[:number] = value
    else:
        pixels = np.dstack([pixels] * 3)
    Image.fromarray(pixels).save(folder / path.name)
    return str(folder)


@needs_dense
@pytest.mark.parametrize('value, message', [
    (12, r'png has label 11, expected 0 to 10 for 11 classes, or 255'),
    (300, 'label 300: labels above 255'), ('colours', r'holds pixels \(64, 64, 3\), expected one')])
def test_maps_of_validation_and_test_are_looked_at(scenes: Path, tmp_path: Path, value: object,
                                                   message: str):
    path = maps_with(scenes, tmp_path / 'maps', value, 1)
    val = ade(scenes, data_prefix=dict(img_path='images/validation', seg_map_path=path))
    for check in (LabelCheckHook().before_train, LabelCheckHook().before_test):
        with pytest.raises(ValueError, match=message):
            check(runner_of(ade(scenes), val))


@needs_dense
def test_maps_of_one_row_are_refused(scenes: Path, tmp_path: Path):
    for folder in ('images', 'maps'):
        (tmp_path / folder).mkdir()
    Image.new('RGB', (64, 1)).save(tmp_path / 'images' / 'a.jpg')
    Image.new('L', (64, 1)).save(tmp_path / 'maps' / 'a.png')
    data = ade(scenes, data_prefix=dict(img_path=str(tmp_path / 'images'),
                                        seg_map_path=str(tmp_path / 'maps')))
    with pytest.raises(ValueError, match='a.png has one row or column of pixels, which mmseg can'):
        LabelCheckHook().before_train(runner_of(data))


@needs_dense
def test_the_ignored_label_is_that_of_the_heads_and_of_the_metric(scenes: Path, tmp_path: Path):
    from mmseg.evaluation import IoUMetric
    path = maps_with(scenes, tmp_path / 'maps', 201, 3)       # 200 after reduce_zero_label
    data = ade(scenes, data_prefix=dict(img_path='images/validation', seg_map_path=path))
    # 0 becomes 255 by reduce_zero_label, so that these two are both in the files.
    head = Head(11, ignore_index=200)
    with pytest.raises(ValueError, match='label 255, expected 0 to 10 .* or 200 for ignored'):
        LabelCheckHook().before_train(runner_of(data, decode_head=head))
    data = ade(scenes, metainfo=dict(classes=('rim', *SCENE_CLASSES)), reduce_zero_label=False,
               data_prefix=dict(img_path='images/validation', seg_map_path=path))
    head = Head(12, ignore_index=201)
    LabelCheckHook().before_train(runner_of(data, None, (IoUMetric(ignore_index=201), ),
                                            decode_head=head))
    with pytest.raises(ValueError, match='label 201, expected 0 to 11 .* or 255 for ignored'):
        LabelCheckHook().before_train(runner_of(data, None, (IoUMetric(), ), decode_head=head))


@needs_dense
@pytest.mark.parametrize('trained', [True, False])
def test_another_use_of_label_zero_is_warned_of(scenes: Path, log, trained: bool):
    train, val = ade(scenes), ade(scenes, 'validation', reduce_zero_label=trained, pipeline=[])
    LabelCheckHook().before_train(runner_of(train, val))
    hook = LabelCheckHook()
    hook.after_load_checkpoint(None, dict(meta=dict(dataset_meta=dict(train.metainfo))))
    hook.before_test(runner_of(train, val))
    said = [record.getMessage() for record in log.records
            if 'has reduce_zero_label=False' in record.getMessage()]
    assert len(said) == (0 if trained else 2)
    assert trained or 'the data of the checkpoint True' in said[1]


@needs_dense
def test_maps_without_labels_and_with_one_label(scenes: Path, tmp_path: Path, log):
    for index in range(3):
        (tmp_path / 'maps').mkdir(exist_ok=True)
        Image.new('L', (64, 64), 0).save(tmp_path / 'maps' / f'{index:05d}.png')
    prefix = dict(img_path='images/validation', seg_map_path=str(tmp_path / 'maps'))
    with pytest.raises(ValueError, match='no labelled pixel in 3 annotations.*reduce_zero_label'):
        LabelCheckHook().before_train(runner_of(ade(scenes, data_prefix=prefix)))
    LabelCheckHook().before_train(runner_of(
        ade(scenes, data_prefix=prefix, reduce_zero_label=False)))
    assert "are 'photograph': nothing else will be learned" in log.text


@needs_dense
@pytest.mark.parametrize('library, head', [
    ('mmseg', dict(type='FCNHead', in_channels=4, channels=4, num_classes=1, num_convs=0)),
    ('mmpretrain', dict(type='LinearClsHead', num_classes=1, in_channels=4))])
def test_softmax_over_one_class_is_refused(scenes: Path, library: str, head: dict):
    with DefaultScope.overwrite_default_scope(library):
        built = MODELS.build(head)
        key = 'loss_decode' if library == 'mmseg' else 'loss'
        sigmoid = MODELS.build({**head, key: dict(type='CrossEntropyLoss', use_sigmoid=True)})
    data = SimpleNamespace(metainfo=dict(classes=('cell', )))
    name = 'decode_head' if library == 'mmseg' else 'head'
    with pytest.raises(ValueError, match=f'model.{name} has one output and a loss with softmax'):
        LabelCheckHook().before_test(runner_of(data_of(data), **{name: built}))
    LabelCheckHook().before_test(runner_of(data_of(data), **{name: sigmoid}))


def data_of(data: SimpleNamespace) -> object:
    """A data set with names of classes and nothing in it."""
    class Empty(list):
        metainfo = data.metainfo
    return Empty()


def folders_of(folder: Path) -> list[ImageFolder]:
    """Two data sets of three classes, not the same ones."""
    for part, names in (('train', 'abc'), ('val', 'bcd')):
        for name in names:
            (folder / part / name).mkdir(parents=True)
            Image.new('RGB', (4, 4)).save(folder / part / name / '0.png')
    return [ImageFolder(data_root=str(folder / part), with_label=True) for part in ('train', 'val')]


def test_folders_of_classes_are_compared_by_name(tmp_path: Path):
    train, val = folders_of(tmp_path)
    with pytest.raises(ValueError, match="label 0 is 'b' in the one, 'a' in the other"):
        LabelCheckHook().before_train(runner_of(train, val, head=Head(3)))
    unlabelled = ImageFolder(data_root=str(tmp_path / 'val'))
    LabelCheckHook().before_train(runner_of(unlabelled, unlabelled))


def test_the_labelled_images_of_neighbours_are_compared(tmp_path: Path):
    train, val = folders_of(tmp_path)
    gallery = dict(batch_size=1, sampler=dict(type='DefaultSampler', shuffle=False),
                   dataset=dict(type='ImageFolder', data_root=str(tmp_path / 'train'),
                                with_label=True))
    arch = dict(embed_dims=8, num_layers=1, num_heads=1, feedforward_channels=8)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(dict(
            type='KNNClassifier', gallery=gallery, num_classes=3, num_neighbors=1,
            backbone=dict(type='ADDPViT', arch=arch, img_size=8, patch_size=8)))
        LabelCheckHook().before_test(runner_of(train, part=model))
        with pytest.raises(ValueError, match="label 0 is 'b' in the one, 'a' in the other"):
            LabelCheckHook().before_test(runner_of(val, part=model))


@pytest.mark.parametrize('iterations', [3, 100, 130])
def test_losses_that_are_zero_are_warned_of_once(log, iterations: int):
    hook, runner = LabelCheckHook(), SimpleNamespace()
    for i in range(iterations):
        outputs = dict(loss=torch.ones(()), loss_mask=torch.zeros(()), acc=torch.zeros(()),
                       loss_adversarial=torch.zeros(()),
                       loss_cls=torch.tensor(float(i == 1)), loss_late=torch.tensor(float(i > 99)))
        hook.after_train_iter(runner, i, None, outputs)
    hook.after_train(runner)
    assert log.text.count('Nothing is learned from') == 1
    assert (f'from loss_mask, loss_late: exactly 0 in each of the first {min(iterations, 100)} '
            'iterations') in log.text
