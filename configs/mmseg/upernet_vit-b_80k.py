# UperNet, ADDP ViT-B, ADE20K (paper Tab. 7 and 19: 48.1 mIoU; no run was made with this code).
# Made for 8 GPUs: tools/dist_train.sh configs/mmseg/upernet_vit-b_80k.py 8
_base_ = [
    '_base_/upernet_vit.py', '_base_/ade20k_512.py', '_base_/adamw_bs32_80k.py',
    '_base_/runtime.py'
]
