# ADDP, ViT-H, sharded over the GPUs. The paper has no ViT-H: schedule and split are our choice,
# those of the ViT-L.
#   tools/dist_train.sh configs/addp/addp_vit-h_800e_fsdp.py 8
# By the formula of benchmarks/memory.py one of 8 GPUs needs 46 GB: 38 for 64 images (593 MB each),
# 8 for the model, which takes 15 unsharded. Not measured.
_base_ = './vit-l_800e.py'

runner_type = 'FlexibleRunner'
strategy = dict(type='FullyShardStrategy', layers=['backbone.layers', 'neck.layers'])

model = dict(
    backbone=dict(arch='huge'),  # 32 layers of 1280 (MAE); patches of 16, as on the token grid
    neck=dict(embed_dims=1280))  # our choice: as wide as the encoder, as in ViT-B and ViT-L
