# Token predictor MAGE-L, 1600 epochs of ImageNet-1k at 256 pixels (MAGE, arXiv 2211.09117).
#   tools/dist_train.sh configs/mage/mage_vit-l_1600e.py 8
_base_ = './mage_vit-b_1600e.py'

model = dict(token_predictor=dict(arch='large'))

# 8 GPUs x 128 images x 4 accumulated = 4096; the split is our choice.
train_dataloader = dict(batch_size=128)
optim_wrapper = dict(accumulative_counts=4)
auto_scale_lr = dict(base_batch_size=8 * 128)
