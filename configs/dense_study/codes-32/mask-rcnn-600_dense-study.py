_base_ = '../mask-rcnn-600_dense-study.py'
