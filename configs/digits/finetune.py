# Fine-tuning ADDP's encoder on 10 labels for each of the 10 digits, after stage 3. About 10 seconds
# on one CPU core.
#   python tools/train.py configs/digits/finetune.py
_base_ = '_base_/recognition.py'

work_dir = 'work_dirs/digits/finetune'
