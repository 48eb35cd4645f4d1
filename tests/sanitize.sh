#!/usr/bin/env bash
# Builds the native engine with sanitizers and runs it over everything that tests/sanitize.py knows.
#
#   tests/sanitize.sh [address|thread] [sample]
#
# address: AddressSanitizer and UndefinedBehaviorSanitizer, thread: ThreadSanitizer. `sample` builds the baseline instruction
# set alone, without UndefinedBehaviorSanitizer, which more than doubles the build, and takes a part of everything; EINKORN_ISAS chooses the instruction sets of the whole run (all). EINKORN_DATA is
# where the published cascades are looked for. Needs what `pip install -e ".[dev]"` installs, cmake, ninja, pybind11, Cython and a
# compiler with its sanitizers' libraries; without these a sample is left out with a line. Stops at the first finding.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=${1:-address} part=${2:-whole}
case $kind in
  address) flags=address,undefined runtime=libasan.so ;;
  thread) flags=thread runtime=libtsan.so ;;
  *) echo "tests/sanitize.sh [address|thread] [sample]" >&2; exit 2 ;;
esac
if [ ! -f "$("${CXX:-c++}" -print-file-name=$runtime)" ]; then
  echo "sanitizers: $runtime is not here, nothing was run"
  [ "$part" = sample ]; exit
fi
isas=${EINKORN_ISAS:-all}
[ "$part" = whole ] || { isas=baseline; flags=${flags%,undefined}; }

build=build/sanitize-$kind-$part
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DSKBUILD_PROJECT_VERSION=0 -DEINKORN_NATIVE=ON -DEINKORN_CUDA=OFF \
  -DEINKORN_SANITIZE=$flags -DEINKORN_ISAS=$isas -DPython_EXECUTABLE="$(command -v python)" \
  -Dpybind11_DIR="$(python -m pybind11 --cmakedir)" > /dev/null
cmake --build "$build" > "$build/log" || { tail -50 "$build/log"; exit 1; }

# The package with this module in place of the other: links, and nothing is installed.
rm -rf "$build/package" && mkdir -p "$build/package/einkorn"
for file in python/einkorn/*; do
  case $file in *.so) ;; *) ln -s "$PWD/$file" "$build/package/einkorn/" ;; esac
done
ln -s "$PWD/$build"/_native*.so "$PWD/$build"/_text*.so "$build/package/einkorn/"

compiler=$(sed -n 's/^CMAKE_CXX_COMPILER:.*=//p' "$build/CMakeCache.txt")
export LD_PRELOAD="$("$compiler" -print-file-name=$runtime):$("$compiler" -print-file-name=libstdc++.so)"
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 TSAN_OPTIONS=halt_on_error=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
EINKORN_ENGINE=native PYTHONPATH="$build/package" python tests/sanitize.py "$part" "$kind"
