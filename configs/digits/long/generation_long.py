# Generated digits of the long run: how like the real ones they are, and how sure a classifier is of
# each. The classifier (../classifier.py, about a minute) must be trained before.
#   python tools/test.py configs/digits/long/generation_long.py \
#       $(cat work_dirs/digits_long/addp/last_checkpoint)
_base_ = ['addp_long.py', '../../_base_/generation.py']

test_dataloader = dict(batch_size=100, dataset=dict(num_images=500))
test_cfg = dict(seed=1)  # the sampler of addp_long.py was chosen with seed 0
classifier = dict(
    name='classifier',
    config='configs/digits/classifier.py',
    weights='work_dirs/digits/classifier/epoch_12.pth')
test_evaluator = [
    dict(
        type='GenerationQuality',
        reference='work_dirs/digits/data/train',
        extractor=classifier),
    dict(type='ClassifierConfidence', extractor=classifier)
]
work_dir = 'work_dirs/digits_long/generation'
