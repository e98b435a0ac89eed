# Generated digits of the long run: how like the real ones they are, and how sure a classifier is of
# each. The classifier (../classifier.py, about a minute) must be trained before.
#   python tools/test.py configs/digits/long/generation_long.py \
#       $(cat work_dirs/digits_long/addp/last_checkpoint)
_base_ = ['addp_long.py', '../../_base_/generation.py']

test_dataloader = dict(batch_size=100, dataset=dict(num_images=500))
# Chosen with seed 0, measured with seed 1. A lower temperature makes the classifier surer and rare
# digits rarer; a lower top-p makes it surer at less of that cost.
test_cfg = dict(sampler=dict(num_steps=16, schedule='linear', temperature=1.0, top_p=0.7), seed=1)
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
