# FID, Inception Score, precision and recall of ViT-L. The paper reports FID 7.6 and IS 105.1
# (Tab. 2), precision 0.74 and recall 0.49 (Tab. 12, by an unnamed tool), probably with one token
# per step:
# --cfg-options model.sampler.num_steps=256 model.sampler.schedule=linear
#   tools/dist_test.sh configs/addp/benchmarks/generation_vit-l.py CHECKPOINT 8
_base_ = ['../vit-l_800e.py', '../../_base_/generation.py']
