# ADDP as in the paper, for 32 codes.
_base_ = '../addp_dense-study.py'

model = dict(
    data_preprocessor=dict(
        tokenizer=dict(model=dict(num_codes=32)),
        token_predictor=dict(model=dict(num_codes=32))))
