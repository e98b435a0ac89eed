_base_ = '../upernet_dense-study.py'
