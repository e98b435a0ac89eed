# The token predictor of the study.
_base_ = '../nuclei/mage_nuclei-64.py'

model = dict(
    data_preprocessor=dict(tokenizer=dict(checkpoint='work_dirs/dense_study/vqgan/epoch_24.pth')))
work_dir = 'work_dirs/dense_study/mage'
