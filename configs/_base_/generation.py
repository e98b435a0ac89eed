# Generated images against ImageNet's validation images, for tools/test.py (reference protocol:
# 50,000 of each, FID and Inception Score by torch-fidelity). This makes the reference set:
#   python tools/prepare_reference.py data/imagenet/val data/imagenet/val_256_png
test_dataloader = dict(
    batch_size=64,
    num_workers=0,
    dataset=dict(type='ImageIndices', num_images=50000),
    sampler=dict(type='DefaultSampler', shuffle=False))
# With the model's sampler, by default that of the reference release: 20 cosine steps. The paper's
# headline numbers suggest model.sampler=dict(num_steps=256, schedule='linear').
test_cfg = dict(type='GenerationTestLoop', seed=0)
test_evaluator = dict(type='GenerationQuality', reference='data/imagenet/val_256_png')
