# Nearest neighbours among ImageNet-1k's training images in the features of ADDP ViT-B (DINO's
# evaluation, arXiv 2104.14294; not in ADDP's paper). Nothing is trained:
#   tools/dist_test.sh configs/addp/benchmarks/knn_vit-b.py CHECKPOINT 8
# With the norm of the pre-training: --cfg-options model.backbone.pre_norm=True
_base_ = [
    '../../_base_/models/vit-b_classifier.py', '../../_base_/datasets/imagenet_labels_256.py',
    '../../_base_/default_runtime.py'
]

gallery = _base_.train_dataloader
gallery.update(drop_last=False, sampler=dict(type='DefaultSampler', shuffle=False))
gallery.dataset.update(pipeline=_base_.test_pipeline, test_mode=True)
model = dict(
    type='KNNClassifier',
    backbone=dict(drop_path_rate=0., init_cfg=None),  # the checkpoint is an argument
    head=None,
    train_cfg=None,
    gallery=gallery,
    num_classes=1000,
    num_neighbors=20,  # DINO: the best of 10, 20, 100 and 200
    temperature=0.07)  # DINO
train_dataloader = val_dataloader = val_evaluator = val_cfg = None
