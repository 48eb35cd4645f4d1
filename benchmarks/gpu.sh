#!/usr/bin/env bash
# Proves and measures the CUDA engine on the card of this machine: builds it, runs the tests of the CUDA engine, runs the small
# cases under compute-sanitizer, and measures against PyTorch and against the card's own copy. Within nine minutes on 16 cores.
#
#   benchmarks/gpu.sh [--dry-run] [test|sanitize|measure ...]      all three without arguments; the build always comes first
#
# --dry-run goes through every part without a card, so that the first run on one does not end at a wrong name: the host device
# (EINKORN_CUDA_HOST=ON, already built) runs a few small cases, nvcc's build is planned and not made, nothing is written outside $BUILD.
#
# Nothing is fetched: CMake, ninja, pybind11, NumPy, CuPy, PyTorch, pytest and nvcc are those that are here. What is missing may be
# in the folder $WHEELS: its wheels are unpacked into $BUILD/site, which goes before what is here. A part that fails does not stop
# the others. The table goes to benchmarks/results/<card>.md; it and every log also go to $OUT if that is set.
set -uo pipefail
cd "$(dirname "$0")/.."
dry=
if [ "${1:-}" = --dry-run ]; then dry=1; shift; fi
python=${PYTHON:-python3}
jobs=${JOBS:-$(nproc)}
build=${BUILD:-build/gpu}
logs=${OUT:-$build/logs}
mkdir -p "$build" "$logs" benchmarks/results
build=$(cd "$build" && pwd) logs=$(cd "$logs" && pwd)  # either may have been given from the root on
export PYTHONPATH="$PWD/python:$PWD/tests:$build/site" PATH="$PATH:$build/site/bin" PYTHONUNBUFFERED=1 PYTHONFAULTHANDLER=1 CUPY_CACHE_DIR="$build/cupy"
runner=$python  # of what runs on the card
if [ -n "$dry" ]; then
  stand_ins=$build/stand-ins
  mkdir -p "$stand_ins"
  printf '#!/bin/sh\ncase $1 in *compute_cap,memory*) echo "dry run, 0.0, 9.0, 0 MiB" ;; *compute_cap*) echo 9.0 ;; *) echo "dry run, 0.0" ;; esac\n' \
    > "$stand_ins/nvidia-smi"
  printf '#!/bin/sh\nwhile [ "${1#--}" != "$1" ]; do case $1 in *=*) shift ;; *) shift 2 ;; esac; done\n"$@"\n' > "$stand_ins/compute-sanitizer"
  printf '#!/bin/sh\nexec %s benchmarks/gpu_dry.py "$@"\n' "$python" > "$stand_ins/runner"
  chmod +x "$stand_ins"/*
  export PATH=$stand_ins:$PATH
  runner=$stand_ins/runner
fi
parts=${*:-test sanitize measure}
summary=$logs/summary.txt
: > "$summary"
SECONDS=0

# part NAME LIMIT COMMAND...: runs it for LIMIT seconds at most, its output in NAME.log; one line of the summary.
part() {
  local name=$1 limit=$2 started=$SECONDS status
  shift 2
  timeout --kill-after=5 "$limit" bash -c '"$@"' "$name" "$@" > "$logs/$name.log" 2>&1
  status=$?
  case $status in
    0) status=ok ;;
    124 | 137) status="stopped after $limit s" ;;
    *) status="FAILED ($status)" ;;
  esac
  printf '%-12s %-22s %4d s  %s\n' "$name" "$status" $((SECONDS - started)) \
    "$(grep -E "passed|failed|ERROR SUMMARY|RACECHECK SUMMARY|^cases:|^rows:" "$logs/$name.log" | tail -2 | tr '\n' ' ')" >> "$summary"
  [ "$status" = ok ]
}
wants() { [[ " $parts " == *" $1 "* ]]; }

environment() {
  local status=0
  nvidia-smi --query-gpu=name,driver_version,compute_cap,memory.total --format=csv,noheader || status=1
  nvcc --version | tail -2 || status=1
  "$python" --version
  "$runner" -c 'import numpy, cupy, torch; print("numpy", numpy.__version__, "cupy", cupy.__version__, "torch", torch.__version__)' || status=1
  cmake --version | head -1 || status=1
  return $status
}

# The CUDA module for this card, and the native one for the CPU side of the comparisons; one without the other is built too.
build_modules() {
  local capability
  capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -1 | tr -d .)
  [ "$capability" = 90 ] && capability=90a
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DSKBUILD_PROJECT_VERSION=0 -DEINKORN_CUDA=ON -DEINKORN_NATIVE=ON \
    -DEINKORN_ISAS=baseline -DCMAKE_CUDA_ARCHITECTURES="$capability-real" -DPython_EXECUTABLE="$(command -v "$python")" \
    -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)" || return
  ninja ${dry:+-n} -C "$build" -j "$jobs" -k 0 _cuda
  ninja ${dry:+-n} -C "$build" -j "$jobs" -k 0 _native
  [ -n "$dry" ] || cp "$build"/_cuda.*.so "$build"/_native.*.so python/einkorn/
}

sanitize() {  # TOOL
  compute-sanitizer --tool "$1" --error-exitcode 9 --print-limit 20 "$runner" benchmarks/gpu_cases.py --small --seconds "$sanitized"
}

wheels() {
  "$python" -m pip install --quiet --no-index --no-deps --upgrade --target "$build/site" "$WHEELS"/*.whl
}

export -f environment build_modules sanitize wheels
sanitized=110 recorded=35; [ -z "$dry" ] || sanitized=30 recorded=15  # seconds
export python runner jobs build dry sanitized WHEELS=${WHEELS:-}
if [ -n "$WHEELS" ]; then part wheels 40 wheels; fi
part environment 20 environment
if ! part build 180 build_modules; then
  grep -n -m 20 -A 3 -E "error|FAILED" "$logs/build.log"
fi
some=()
if [ -n "$dry" ]; then some=(-k "log_softmax and float32 or random_numbers or missing or kernels_are or either_body and 70"); fi
if wants test; then part test 145 "$runner" -m pytest -q -p no:cacheprovider tests/test_cuda.py "${some[@]}" & fi
if wants sanitize; then
  part memcheck 145 sanitize memcheck &
  part racecheck 145 sanitize racecheck &
fi
wait
if wants measure; then part measure 130 "$runner" benchmarks/gpu_measure.py --out "$logs" ${dry:+--dry-run}; fi

if grep -q "^test *ok" "$summary"; then
  part cases 45 "$runner" benchmarks/gpu_cases.py --seconds "$recorded" --record "$logs/ran.txt" ${dry:+--small} &&
    part runs 20 "$python" benchmarks/gpu_runs.py --ran "$logs/ran.txt" ${dry:+--dry-run}
fi

for name in test memcheck racecheck measure; do
  [ -f "$logs/$name.log" ] || continue
  grep -E "^(FAILED|ERROR)|^E  |=========( Invalid| Error| Program)|Traceback|Error:" "$logs/$name.log" | head -25 | cut -c1-200
done
[ -f "$logs/table.md" ] && cat "$logs/table.md"
cat "$logs/environment.log"
echo "--- $SECONDS s in all"
cat "$summary"
