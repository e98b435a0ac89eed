# Generated digits against the real ones, in the features of classifier.py, and how sure it is of
# each. The classifier (a minute) must be trained before. The scores are like FID, but comparable
# only with those of the same classifier.
_base_ = '../../_base_/generation.py'

test_dataloader = dict(batch_size=100, dataset=dict(num_images=500))
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
