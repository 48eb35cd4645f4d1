// einkorn._native: the kernels of csrc/kernels under the names of their families' lists.

#include "bind/module.h"

#include <pybind11/pybind11.h>

PYBIND11_MODULE(_native, m) {
  m.doc() = "einkorn's native engine: C++ kernels, compiled once per instruction set.";
  for (const einkorn::Bindings bind : einkorn::all_bindings()) bind(einkorn::Module(m.ptr()));
}
