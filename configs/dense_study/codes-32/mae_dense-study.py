_base_ = '../mae_dense-study.py'
