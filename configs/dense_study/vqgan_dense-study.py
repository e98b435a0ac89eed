# The tokenizer of the study.
_base_ = '../nuclei/vqgan_nuclei-64.py'

work_dir = 'work_dirs/dense_study/vqgan'
