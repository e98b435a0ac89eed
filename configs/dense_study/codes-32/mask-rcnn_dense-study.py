_base_ = '../mask-rcnn_dense-study.py'
