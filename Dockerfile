# docker build --tag addp_mm .                                  for a CPU
# docker build --tag addp_mm --build-arg DEVICE=cuda .          for NVIDIA's GPUs
#
# docker run --rm -it --volume "$PWD/work_dirs:/addp_mm/work_dirs" addp_mm make digits
# docker run --rm -it --gpus all --shm-size 8g --volume /path/to/imagenet:/addp_mm/data/imagenet \
#     --volume "$PWD/work_dirs:/addp_mm/work_dirs" addp_mm python tools/train.py configs/vqgan/vqgan_256.py
ARG PYTHON=3.11
FROM python:${PYTHON}-slim-bookworm
ARG DEVICE=cpu

# make runs the targets of the Makefile; OpenCV needs the other two.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends make libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /addp_mm
COPY requirements requirements
# PyPI's torch has the libraries of CUDA in it and needs only the driver of the machine outside. Of one version pip takes
# the build for CPUs first, where it sees both.
RUN case "$DEVICE" in \
        cpu) index='--extra-index-url https://download.pytorch.org/whl/cpu' ;; \
        cuda) index= ;; \
        *) echo "DEVICE must be cpu or cuda, got $DEVICE" >&2; exit 2 ;; \
    esac \
    && pip install --no-cache-dir $index --constraint requirements/constraints.txt torch torchvision
RUN pip install --no-cache-dir --constraint requirements/constraints.txt \
    --requirement requirements/runtime.txt --requirement requirements/onedl.txt

COPY . .
RUN pip install --no-cache-dir --no-deps --editable . && python tools/check_env.py

# The targets of the Makefile take this Python and install nothing.
ENV ADDP_PYTHON=/usr/local/bin/python
CMD ["python", "tools/check_env.py"]
