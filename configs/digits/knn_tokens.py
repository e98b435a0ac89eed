# Nearest neighbours in the features of the encoder of stage 2's MAGE, which reads the tokens of
# stage 1.
#   python tools/test.py configs/digits/knn_tokens.py work_dirs/digits/mage/epoch_80.pth
_base_ = 'knn.py'

model = dict(
    backbone=dict(
        tokenizer=dict(
            model=_base_.tokenizer, checkpoint='work_dirs/digits/vqgan/epoch_16.pth'),
        pre_norm=True))  # MAGE's norm behind word and position
work_dir = 'work_dirs/digits/knn_tokens'
