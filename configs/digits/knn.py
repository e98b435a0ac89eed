# Nearest neighbours in the features of ADDP's encoder, among 10 labelled images for each of the 10
# digits, after stage 3.
#   python tools/test.py configs/digits/knn.py work_dirs/digits/addp/epoch_25.pth
_base_ = '_base_/recognition.py'

gallery = _base_.train_dataloader
gallery.update(drop_last=False, sampler=dict(type='DefaultSampler', shuffle=False))
gallery.dataset.update(pipeline=_base_.val_dataloader.dataset.pipeline, test_mode=True)
model = dict(
    type='KNNClassifier',
    backbone=dict(init_cfg=None),  # the checkpoint is an argument of tools/test.py
    head=None,
    gallery=gallery,
    num_classes=10,
    num_neighbors=10,  # DINO: 10, 20, 100 or 200 of 1.3 million; 20 is best on ImageNet
    temperature=0.07)  # DINO
train_dataloader = train_cfg = optim_wrapper = param_scheduler = None
val_dataloader = val_cfg = val_evaluator = None
work_dir = 'work_dirs/digits/knn'
