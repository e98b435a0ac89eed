# Generated digits and their scores.
#   python tools/test.py configs/digits/generation.py $(cat work_dirs/digits/addp/last_checkpoint)
_base_ = ['addp.py', '_base_/generation_scores.py']

work_dir = 'work_dirs/digits/generation'
