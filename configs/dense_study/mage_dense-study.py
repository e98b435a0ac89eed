# The token predictor of the study.
_base_ = '../nuclei/mage_nuclei-64.py'

model = dict(
    data_preprocessor=dict(tokenizer=dict(checkpoint='work_dirs/dense_study/vqgan/epoch_24.pth')),
    token_predictor=dict(drop_rate=0.1, table_std=0.02))  # as all records of the study have it
work_dir = 'work_dirs/dense_study/mage'
