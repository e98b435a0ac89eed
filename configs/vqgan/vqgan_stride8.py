# A tokenizer of stride 8 at 256 pixels: 32 x 32 tokens, for finer reconstructions.
_base_ = './vqgan_256.py'

# Our choice: MaskGIT's widths without its second resolution.
model = dict(tokenizer=dict(channel_mult=(1, 2, 2, 4)))
