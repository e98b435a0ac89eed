# Paper Tab. 5, none: neither encoder nor decoder reads the reliable tokens. The paper reports FID
# 36.24, IS 21.71 and 83.1 % top-1 after fine-tuning.
_base_ = './default.py'

model = dict(neck=dict(token_input=False))
