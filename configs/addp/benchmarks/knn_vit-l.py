# Nearest neighbours in the features of ADDP ViT-L, see knn_vit-b.py.
#   tools/dist_test.sh configs/addp/benchmarks/knn_vit-l.py CHECKPOINT 8
_base_ = './knn_vit-b.py'

model = dict(backbone=dict(arch='large'))
