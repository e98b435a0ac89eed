# Paper Tab. 4, sampling: the masked places are filled with codes drawn from the distribution. The
# paper reports FID 38.79, IS 23.44 and 83.2 % top-1 after fine-tuning.
_base_ = './default.py'

model = dict(data_preprocessor=dict(diffusion=dict(mapping='sampling')))
