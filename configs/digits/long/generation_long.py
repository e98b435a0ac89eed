# Generated digits of the long run and their scores.
#   python tools/test.py configs/digits/long/generation_long.py \
#       $(cat work_dirs/digits_long/addp/last_checkpoint)
_base_ = ['addp_long.py', '../_base_/generation_scores.py']

test_cfg = dict(seed=1)  # the sampler of addp_long.py was chosen with seed 0
work_dir = 'work_dirs/digits_long/generation'
