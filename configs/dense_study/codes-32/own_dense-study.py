# What own images train with, for 32 codes.
_base_ = '../own_dense-study.py'

model = dict(
    data_preprocessor=dict(
        tokenizer=dict(model=dict(num_codes=32)),
        token_predictor=dict(model=dict(num_codes=32))))
