# Mask R-CNN, ADDP ViT-B, COCO (paper Tab. 7 and 18: 51.7 box AP, 45.8 mask AP; no run was made with
# this code). Made for 8 GPUs of 80 GB:
#   tools/dist_train.sh configs/mmdet/mask-rcnn_vitdet-b_100e.py 8
_base_ = [
    '_base_/mask-rcnn_vitdet.py', '_base_/coco_lsj-1024.py', '_base_/adamw_bs128_100e.py',
    '_base_/runtime.py'
]
