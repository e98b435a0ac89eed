# The training images of the long run: more variety than the quick run's crop, since every image is
# seen more often. All numbers are our choice.
augmented = [
    dict(type='SeedTransforms'),
    dict(type='LoadRobustImage'),
    dict(type='NumpyToPIL', to_rgb=True),
    # Strokes reach to the border: no shift. No flip, which would make other signs.
    dict(
        type='torchvision/RandomAffine',
        degrees=5,
        shear=(-4, 4, -4, 4),
        scale=(0.98, 1.06),
        interpolation='bilinear'),
    dict(type='PILToNumpy', to_bgr=True),
    dict(type='PackInputs')
]
