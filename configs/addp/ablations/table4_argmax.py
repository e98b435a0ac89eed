# Paper Tab. 4, argmax: the masked places are filled with the likeliest codes. The paper reports FID
# 26.62, IS 30.03 and 83.5 % top-1 after fine-tuning.
_base_ = './default.py'

model = dict(data_preprocessor=dict(diffusion=dict(mapping='argmax')))
