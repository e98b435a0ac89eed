# ADDP with a ViT-B encoder and MAGE-B as token predictor (paper Sec. 4.1, Tab. 14; reference
# release). The files of the frozen parts are made by tools/convert_checkpoint.py from the released
# ones, or by the trainings of configs/vqgan and configs/mage. The reference release runs them in
# float16.
model = dict(
    type='ADDP',
    data_preprocessor=dict(
        type='ADDPDataPreprocessor',
        tokenizer=dict(
            model=dict(type='VQGAN', image_size=256),  # 16 x 16 tokens, 1024 codes
            checkpoint='checkpoints/vqgan.safetensors',
            dtype='float16',
            channels_last=True),  # our choice: the same values, faster convolutions
        token_predictor=dict(
            model=dict(
                type='MAGE', arch='base', vocab_size=2025, class_id=1100, mask_id=2024),
            checkpoint='checkpoints/mage_base.safetensors',
            dtype='float16',
            dropout=False),  # paper; the reference release trains with its dropout active: True
        diffusion=dict(
            type='DiffusionProcess',
            mapping='weighted_sum',  # paper Tab. 4; 'sampling', 'argmax'
            condition='z_t+d',  # paper Tab. 3; 'z_t'
            mask_ratio=dict(type='MaskRatioDistribution'),  # paper Tab. 6; 'FixedMaskRatio'
            per_image=False)),  # reference release: one ratio for the batch of a process
    backbone=dict(type='ADDPViT', arch='base', patch_size=16, drop_rate=0.1),
    neck=dict(
        type='TokenDecoder',
        vocab_size=2025,  # reference release: 1024 codes, 1000 classes, 1 mask token
        embed_dims=768,
        depth=8,
        num_heads=16,
        drop_rate=0.1,
        token_input=True),  # paper Tab. 5
    head=dict(
        type='TokenHead',
        loss=dict(
            type='MaskedTokenLoss',
            target='soft',  # paper Tab. 6; 'hard', 'both'
            label_smoothing=0.1)))
