# The token predictor for 32 codes.
_base_ = '../mage_dense-study.py'

model = dict(
    data_preprocessor=dict(tokenizer=dict(model=dict(num_codes=32))),
    token_predictor=dict(num_codes=32))
