#!/usr/bin/env bash
# Installs einkorn where no C++ compiler can be found, and trains with it: it must succeed and run on Numba.
# usage: tests/check_no_compiler.sh FOLDER
set -euo pipefail
folder=$1
source_tree=$(pwd)
python3 -m venv "$folder"
"$folder/bin/pip" install -q --upgrade pip

# A PATH with everything on it but compilers.
hidden=$folder/path
mkdir -p "$hidden"
for directory in ${PATH//:/ }; do
  for program in "$directory"/*; do
    name=$(basename "$program")
    case $name in
      *gcc* | *g++* | *clang* | c++* | cc | CC | nvcc* | icpx | icx) ;;
      *) [ -x "$program" ] && [ ! -d "$program" ] && ln -sf "$program" "$hidden/$name" 2> /dev/null ;;
    esac
  done
done
env -u CC -u CXX -u CUDACXX -u EINKORN_NATIVE PATH="$folder/bin:$hidden" "$folder/bin/pip" install "$source_tree[train]" pytest hypothesis \
  > "$folder/pip.log" 2>&1 || { tail -40 "$folder/pip.log"; exit 1; }

cd "$folder"
bin/python - <<'PYTHON'
import importlib.util
import einkorn
assert importlib.util.find_spec("einkorn._native") is None, "a native module was built without a compiler"
assert einkorn.get_engine() == "numba"
PYTHON
bin/einkorn train lenet5 --data digits --epochs 2 --out "$folder/run"
