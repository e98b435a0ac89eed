# The tokenizer of MaskGIT (arXiv 2202.04200), with the losses of taming-transformers (arXiv
# 2012.09841).
model = dict(
    type='VQGANTraining',
    tokenizer=dict(  # MaskGIT config
        type='VQGAN',
        image_size=256,
        num_codes=1024,
        code_dims=256,
        channels=128,
        channel_mult=(1, 1, 2, 2, 4),
        num_res_blocks=2),
    # Our choice: codes that took no place in 500 iterations start anew; neither reference revives.
    codebook=dict(revive_after=500),
    vq_loss=dict(
        type='VQLoss',
        codebook_weight=1.,  # MaskGIT config; taming the same
        commitment_weight=0.25,  # MaskGIT config; taming weighs the two the other way round
        entropy_weight=0.1,  # MaskGIT config; taming has no such loss
        entropy_temperature=0.01),
    pixel_loss=dict(type='PixelReconstructionLoss', criterion='L1'),  # taming
    perceptual_loss=dict(  # taming; MaskGIT: 0.1 of a classifier's features
        type='PerceptualLoss', weights='checkpoints/vgg16-397923af.pth', weight=1.),
    discriminator=dict(  # taming; MaskGIT: StyleGAN's
        type='PatchDiscriminator', channels=64, num_layers=3),
    adversarial_loss=dict(
        type='AdversarialLoss',
        weight=0.8,  # taming; MaskGIT: 0.1, not adaptive
        start=10000,  # taming custom_vqgan.yaml, for own data; imagenet_vqgan.yaml: 250001
        max_weight=1e4))
