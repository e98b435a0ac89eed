# A tokenizer of 32 codes instead of 128. The other configs of this folder stand on it:
#   python tools/run_dense_study.py --configs configs/dense_study/codes-32 --records RECORDS \
#       --work-dir RUNS --data data/nuclei --parts linear --labelled 32 --rows addp no_pre_norm own
_base_ = '../vqgan_dense-study.py'

model = dict(tokenizer=dict(num_codes=32))
