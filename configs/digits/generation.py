# Generated digits against the real ones, in the features of classifier.py, which must be trained
# before. The scores are like FID, but comparable only with those of the same classifier.
#   python tools/test.py configs/digits/generation.py $(cat work_dirs/digits/addp/last_checkpoint)
_base_ = ['addp.py', '../_base_/generation.py']

test_dataloader = dict(batch_size=100, dataset=dict(num_images=1000))
test_evaluator = dict(
    reference='work_dirs/digits/data/train',
    extractor=dict(
        name='classifier',
        config='configs/digits/classifier.py',
        weights='work_dirs/digits/classifier/epoch_12.pth'))
work_dir = 'work_dirs/digits/generation'
