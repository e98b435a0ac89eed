# FID, Inception Score, precision and recall of ViT-B. The paper reports FID 8.9 and IS 95.3
# (Tab. 7), probably with one token per step:
# --cfg-options model.sampler.num_steps=256 model.sampler.schedule=linear
#   tools/dist_test.sh configs/addp/benchmarks/generation_vit-b.py CHECKPOINT 8
_base_ = ['../vit-b_1600e.py', '../../_base_/generation.py']
