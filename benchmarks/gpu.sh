#!/usr/bin/env bash
# Proves and measures the CUDA engine on the card of this machine: builds it, runs the tests of the CUDA engine, runs the small
# cases under compute-sanitizer, and measures against PyTorch and against the card's own copy. Within nine minutes on 16 cores.
#
#   benchmarks/gpu.sh [test|sanitize|measure ...]      all three without arguments; the build always comes first
#
# Nothing is fetched: CMake, ninja, pybind11, NumPy, CuPy, PyTorch, pytest and nvcc are those that are here. A part that fails
# does not stop the others. The table goes to benchmarks/results/<card>.md; it and every log also go to $OUT if that is set.
set -uo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
jobs=${JOBS:-$(nproc)}
build=${BUILD:-build/gpu}
logs=${OUT:-$build/logs}
mkdir -p "$build" "$logs" benchmarks/results
export PYTHONPATH="$PWD/python:$PWD/tests" PYTHONUNBUFFERED=1 PYTHONFAULTHANDLER=1 CUPY_CACHE_DIR="$PWD/$build/cupy"
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
  "$python" -c 'import numpy, cupy, torch; print("numpy", numpy.__version__, "cupy", cupy.__version__, "torch", torch.__version__)' || status=1
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
  ninja -C "$build" -j "$jobs" -k 0 _cuda
  ninja -C "$build" -j "$jobs" -k 0 _native
  cp "$build"/_cuda.*.so "$build"/_native.*.so python/einkorn/
}

sanitize() {  # TOOL
  compute-sanitizer --tool "$1" --error-exitcode 9 --print-limit 20 "$python" benchmarks/gpu_cases.py --small --seconds 110
}

export -f environment build_modules sanitize
export python jobs build
part environment 20 environment
if ! part build 200 build_modules; then
  grep -n -m 20 -A 3 -E "error|FAILED" "$logs/build.log"
fi
if wants test; then part test 150 "$python" -m pytest -q -p no:cacheprovider tests/test_cuda.py & fi
if wants sanitize; then
  part memcheck 150 sanitize memcheck &
  part racecheck 150 sanitize racecheck &
fi
wait
if wants measure; then part measure 110 "$python" benchmarks/gpu_measure.py --out "$logs"; fi

if grep -q "^test *ok" "$summary"; then
  part cases 45 "$python" benchmarks/gpu_cases.py --seconds 35 --record "$logs/ran.txt" && "$python" benchmarks/gpu_runs.py --ran "$logs/ran.txt"
fi

for name in test memcheck racecheck measure; do
  [ -f "$logs/$name.log" ] || continue
  grep -E "^(FAILED|ERROR)|^E  |=========( Invalid| Error| Program)|Traceback|Error:" "$logs/$name.log" | head -25 | cut -c1-200
done
[ -f "$logs/table.md" ] && cat "$logs/table.md"
cat "$logs/environment.log"
echo "--- $SECONDS s in all"
cat "$summary"
