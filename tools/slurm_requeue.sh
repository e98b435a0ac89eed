#!/usr/bin/env bash
# Train under Slurm for longer than one job may last: sbatch ... slurm_requeue.sh CONFIG WORK_DIR [flags of train.py]
#
#   sbatch -p PARTITION --nodes=4 --ntasks-per-node=8 --cpus-per-task=8 --gres=gpu:8 --time=24:00:00 \
#       tools/slurm_requeue.sh configs/addp/vit-l_800e.py work_dirs/addp_vit-l
#
# Submit it from the root of the clone. Three minutes before the job's end Slurm sends SIGUSR1: the training writes a
# checkpoint behind the iteration it is in and ends with 138 (143 after SIGTERM). The job is then queued again, and
# goes on from there. Any other exit code ends it. SRUN_ARGS and PYTHON are read from the environment.
#SBATCH --job-name=addp
#SBATCH --requeue
#SBATCH --signal=USR1@180
#SBATCH --open-mode=append
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "Usage: sbatch [flags of sbatch] $0 CONFIG WORK_DIR [flags of train.py]" >&2
    exit 2
fi
CONFIG=$1
WORK_DIR=$2
read -r -a SRUN_WORDS <<< "${SRUN_ARGS:-}"

# Slurm runs a copy of this file, so the clone is where it was submitted.
export PYTHONPATH="${SLURM_SUBMIT_DIR:-$PWD}${PYTHONPATH:+:$PYTHONPATH}"
# Jobs that share a machine must not share a port.
export MASTER_PORT="${MASTER_PORT:-$((20000 + ${SLURM_JOB_ID:?is set by sbatch} % 20000))}"
CODE=0
srun --kill-on-bad-exit=1 ${SRUN_WORDS[@]+"${SRUN_WORDS[@]}"} \
    "${PYTHON:-python}" -u -m addp_mm.cli.train "$CONFIG" --work-dir="$WORK_DIR" --launcher=slurm "${@:3}" || CODE=$?
if [ "$CODE" = 138 ] || [ "$CODE" = 143 ]; then
    echo "The training was asked to end (exit code $CODE): job $SLURM_JOB_ID is queued again."
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$CODE"
