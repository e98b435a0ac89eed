#!/usr/bin/env bash
# Makes, or finds again, the Python environment of this project outside the clone, and prints the path of its python.
#
#   python=$(bash tools/make_env.sh) && PYTHONPATH=. "$python" tools/run_digits.py
#   python=$(bash tools/make_env.sh --dense) && PYTHONPATH=. "$python" -m pytest
#
# --dense adds mmdet and mmseg, and mmcv with its compiled operations. They are compiled once for each torch and Python,
# into a wheel that is kept; that needs a C++20 compiler. Without it everything but detection and segmentation runs.
#
# Progress goes to stderr; the last line on stdout is the path. The package itself is not installed there, so two clones
# with the same requirements share one environment: put the clone on PYTHONPATH.
#
#   ADDP_PYTHON     use this python as it is, install nothing
#   ADDP_ENV_HOME   where environments and wheels are kept (default: $XDG_CACHE_HOME/addp_mm or ~/.cache/addp_mm)
#   CXX             the C++ compiler (default: g++)
#   MAX_JOBS        files that are compiled at once (default: the number of cores)
set -euo pipefail

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
ENV_HOME=${ADDP_ENV_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/addp_mm}
MIN_PYTHON='(3, 10)'

say() { echo "[addp_mm] $*" >&2; }
fail() { say "$*"; exit 1; }

find_python() {
    local candidate
    for candidate in python3 python3.12 python3.11 python3.10 python3.13 python; do
        if "$candidate" -c "import sys; sys.exit(sys.version_info < $MIN_PYTHON)" 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "no Python 3.10 or newer found on PATH. Install one (e.g. apt-get install python3 python3-venv), or set
          ADDP_PYTHON to the python of an environment that has requirements.txt installed."
}

# One name per set of requirements and per Python, so that a change of either makes a new environment.
fingerprint() {
    local python=$1
    shift
    "$python" - "$@" <<'PY'
import hashlib, pathlib, platform, sys
lines = [line for name in sys.argv[1:] for line in pathlib.Path(name).read_text().splitlines()]
parts = [line for line in lines if line and not line.startswith('#')]
parts += [str(sys.version_info[:3]), sys.base_prefix, platform.machine()]
print(hashlib.sha256('\n'.join(parts).encode()).hexdigest()[:12])
PY
}

# Marks are written last: what was interrupted lacks its mark and is made anew.
is_complete() { [ -f "$env/.complete" ] && [ -f "$mark" ] && "$env/bin/python" -c '' 2>/dev/null; }

# One install step: everything goes to the log, the lines that tell how far it is to stderr too.
install() {
    local title=$1 line
    shift
    say "installing $title ..."
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
        fail "installing $title failed; the whole log is $log. Is the network up and the disk not full?
          Run the same command again to try again."
    fi
}

# Two processes at once: the second waits for the first, then finds the environment complete.
lock() {
    command -v flock >/dev/null || { say 'flock is not installed: do not run this script twice at the same time'; return 0; }
    exec 9>"$env.lock"
    flock -n 9 || { say "another process is making $env, waiting for it ..."; flock 9; }
}

# Run Python code that must work in a whole environment.
check() {
    "$env/bin/python" -c "$1" >>"$log" 2>&1 ||
        { tail -n 20 "$log" >&2; fail "the new environment does not work; the whole log is $log"; }
}

build() {
    say "making the environment $env with $("$base" --version); a few minutes, and some GB of downloads the first time"
    rm -rf "$env"
    : >"$log"
    "$base" -m venv "$env" >>"$log" 2>&1 ||
        fail "'$base -m venv' failed; on Debian and Ubuntu: apt-get install python3-venv. The log is $log"
    # torch first and alone: what follows must find it, not choose it.
    install 'PyTorch (1 of 3)' $(grep -E '^torch(vision)?\b' "$REPO/requirements/runtime.txt")
    install 'OpenMMLab libraries (2 of 3)' -r "$REPO/requirements/mminstall.txt"
    install 'what else runs and tests need (3 of 3)' -r "$REPO/requirements/runtime.txt" -r "$REPO/requirements/tests.txt"
    say 'trying it ...'
    check 'import torch, torchvision, mmengine, mmcv, mmpretrain'
    touch "$env/.complete"
    say "environment ready after ${SECONDS} s"
}

# A compiler for a torch that asks for C++20 in its headers, where mmcv's build asks for C++17.
write_compiler() {
    local cxx=${CXX:-g++}
    command -v "$cxx" >/dev/null || fail "no C++ compiler: '$cxx' is not on PATH. mmcv's operations must be compiled for
          mmdet. Install one (apt-get install g++, version 11 or newer), or name one in CXX. Without it everything but
          detection and segmentation runs: make digits."
    echo '#include <concepts>' | "$cxx" -std=c++20 -x c++ -fsyntax-only - 2>>"$log" || fail "'$cxx' does not know C++20,
          which the headers of PyTorch need: $("$cxx" --version | head -n 1). Install g++ 11 or newer, or name one in CXX."
    printf '#!/usr/bin/env bash\nexec %q "${@/#-std=c++17/-std=c++20}"\n' "$cxx" >"$1"
    chmod +x "$1"
}

# mmcv comes as source. pip's usual build has no torch beside it and so leaves the operations out.
compile_mmcv() {
    local jobs=${MAX_JOBS:-$(nproc)} build=$wheels.$$.partial line
    mkdir -p "$build"
    trap "rm -rf '$build'" EXIT
    write_compiler "$build/c++"
    say "compiling mmcv's operations, 78 files, about 10 minutes on 2 cores, once for each torch and Python ..."
    if ! CXX=$build/c++ MMCV_WITH_OPS=1 MAX_JOBS=$jobs PATH=$env/bin:$PATH "$env/bin/python" -m pip wheel -v --no-deps \
        --no-build-isolation --no-cache-dir --no-binary onedl-mmcv --wheel-dir "$build" \
        "$(grep '^onedl-mmcv' "$REPO/requirements/mminstall.txt")" 2>&1 |
        while IFS= read -r line; do
            echo "$line" >>"$log"
            # An `if`: with `&&` the last line's mismatch would count as a failed build.
            if [[ $line =~ ^\ *\[([0-9]*[05])/([0-9]+)\] ]]; then say "  ${BASH_REMATCH[1]} of ${BASH_REMATCH[2]}"; fi
        done
    then
        grep -E -m 5 'error:|Error' "$log" >&2 || true
        fail "compiling failed; the whole log is $log. Is there memory enough? MAX_JOBS=1 takes the least."
    fi
    rm -rf "$wheels"
    mv "$build" "$wheels"
}

add_dense() {
    say "adding detection and segmentation to $env"
    install 'what the build needs (1 of 3)' ninja wheel 'setuptools>=80'
    local torch
    torch=$("$env/bin/python" -c 'import sys, torch; print(torch.__version__, "cuda" if torch.cuda.is_available() else "cpu", sys.implementation.cache_tag, sep="-")')
    wheels=$ENV_HOME/wheels/$(grep '^onedl-mmcv' "$REPO/requirements/mminstall.txt" | tr -d =)-torch-$torch
    compgen -G "$wheels/onedl_mmcv-*.whl" >/dev/null || compile_mmcv
    rm -f "$env/.complete"     # from here on an interruption may leave half a library
    install 'mmcv with its operations (2 of 3)' --no-deps --no-index --force-reinstall "$wheels"/onedl_mmcv-*.whl
    install 'mmdet and mmseg (3 of 3)' -r "$REPO/requirements/dense.txt"
    say 'trying it ...'
    check 'import mmcv.ops, mmdet.models, mmseg.models'
    touch "$env/.complete" "$mark"
    say "detection and segmentation ready after ${SECONDS} s"
}

case ${1:-} in
    '' | --dense) ;;
    *) fail "expected no argument or --dense, got '$1'" ;;
esac
if [ -n "${ADDP_PYTHON:-}" ]; then
    "$ADDP_PYTHON" -c '' || fail "ADDP_PYTHON=$ADDP_PYTHON does not run"
    echo "$ADDP_PYTHON"
    exit
fi

base=$(find_python)
requirements=$REPO/requirements
env=$ENV_HOME/env-$(fingerprint "$base" "$requirements"/{mminstall,runtime,tests}.txt)
log=$env.log
mark=$env/.complete
[ -z "${1:-}" ] || mark=$env/.dense-$(fingerprint "$base" "$requirements/dense.txt")
if ! is_complete; then
    mkdir -p "$ENV_HOME"
    lock
    [ -f "$env/.complete" ] || build
    is_complete || add_dense
fi
echo "$env/bin/python"
