# MAE at the study's size, for comparison, and as the start of other rows.
_base_ = '../nuclei/mae_nuclei-64.py'

work_dir = 'work_dirs/dense_study/mae'
