#!/usr/bin/env bash
# Makes, or finds again, the Python environment of this project outside the clone, and prints the path of its python.
#
#   python=$(bash tools/make_env.sh) && PYTHONPATH=. "$python" tools/run_digits.py
#
#   onedl       the OpenMMLab libraries as the OneDL forks (the default)
#   stock       the stock releases of OpenMMLab
#   --newest    the newest versions that requirements/ allows, instead of those in requirements/constraints.txt, with
#               which the tests were run
#
# Nothing is compiled. Progress goes to stderr; the last line on stdout is the path. The package itself is not installed
# there, so two clones with the same requirements share one environment: put the clone on PYTHONPATH.
#
#   ADDP_PYTHON     use this python as it is, install nothing
#   ADDP_ENV_HOME   where environments are kept (default: $XDG_CACHE_HOME/addp_mm or ~/.cache/addp_mm)
set -euo pipefail

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
ENV_HOME=${ADDP_ENV_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/addp_mm}

say() { echo "[addp_mm] $*" >&2; }
fail() { say "$*"; exit 1; }

find_python() {
    local candidate
    for candidate in python3 python3.12 python3.11 python3.13 python3.10 python; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "no Python 3.10 to 3.13 found on PATH. Install one (e.g. apt-get install python3 python3-venv), or set
          ADDP_PYTHON to the python of an environment that has requirements.txt installed."
}

# One name per set of requirements and per Python, so that a change of either makes a new environment.
fingerprint() {
    "$base" - "$@" <<'PY'
import hashlib, pathlib, platform, sys
lines = [line for name in sys.argv[1:] for line in pathlib.Path(name).read_text().splitlines()]
parts = [line for line in lines if line and not line.startswith('#')]
parts += [str(sys.version_info[:3]), sys.base_prefix, platform.machine()]
print(hashlib.sha256('\n'.join(parts).encode()).hexdigest()[:12])
PY
}

# The mark is written last: what was interrupted lacks it and is made anew.
is_complete() { [ -f "$env/.complete" ] && "$env/bin/python" -c '' 2>/dev/null; }

# Everything goes to the log, the lines that tell how far it is to stderr too.
install() {
    local line
    if ! "$env/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off "$@" 2>&1 |
        while IFS= read -r line; do
            echo "$line" >>"$log"
            case $line in
                *Downloading*' MB)' | *Downloading*' GB)')
                    line=${line##*Downloading }
                    say "  downloading ${line%%-*} (${line##*(}" ;;
                'Installing collected'*) say '  unpacking ...' ;;
            esac
        done
    then
        tail -n 20 "$log" >&2
        fail "installing failed; the whole log is $log. Is the network up and the disk not full?
          Run the same command again to try again."
    fi
}

# Two processes at once: the second waits for the first, then finds the environment complete.
lock() {
    command -v flock >/dev/null || { say 'flock is not installed: do not run this script twice at the same time'; return 0; }
    exec 9>"$env.lock"
    flock -n 9 || { say "another process is making $env, waiting for it ..."; flock 9; }
}

build() {
    say "making the environment $env with $("$base" --version); two minutes, and some GB of downloads the first time"
    rm -rf "$env"
    : >"$log"
    "$base" -m venv "$env" >>"$log" 2>&1 ||
        fail "'$base -m venv' failed; on Debian and Ubuntu: apt-get install python3-venv. The log is $log"
    say "installing PyTorch, the OpenMMLab libraries ($stack), and what else runs and tests need ..."
    install "${requirements[@]/#/-r}" ${constraints:+"-c$constraints"}
    say 'trying it ...'
    (cd "$REPO" && "$env/bin/python" -c 'import addp_mm, mmdet.models, mmseg.models') >>"$log" 2>&1 ||
        { tail -n 20 "$log" >&2; fail "the new environment does not work; the whole log is $log"; }
    touch "$env/.complete"
    say "environment ready after ${SECONDS} s"
}

stack=onedl
constraints=$REPO/requirements/constraints.txt
for word in "$@"; do
    case $word in
        onedl | stock) stack=$word ;;
        --newest) constraints= ;;
        *) fail "expected onedl, stock or --newest, got '$word'" ;;
    esac
done

if [ -n "${ADDP_PYTHON:-}" ]; then
    "$ADDP_PYTHON" -c '' || fail "ADDP_PYTHON=$ADDP_PYTHON does not run"
    echo "$ADDP_PYTHON"
    exit
fi

base=$(find_python)
requirements=("$REPO"/requirements/{"$stack",runtime,tests,docs}.txt)
env=$ENV_HOME/env-$(fingerprint "${requirements[@]}" ${constraints:+"$constraints"})
log=$env.log
if ! is_complete; then
    mkdir -p "$ENV_HOME"
    lock
    is_complete || build
fi
echo "$env/bin/python"
