// kernels(): what a module can do, for the support matrix.

#pragma once

#include <pybind11/stl.h>

#include <map>
#include <string>
#include <vector>

#include "bind/array.h"

namespace einkorn {

// name -> element types, from the active table: what is null there is not on this engine.
inline py::dict kernels() {
  std::map<std::string, std::vector<std::string>> found;
  const Tables& tables = active_tables();
#define X(name, Args)                                                \
  if (tables.f32.name != nullptr) found[#name].push_back("float32"); \
  if (tables.f64.name != nullptr) found[#name].push_back("float64");
  EINKORN_FLOAT_KERNELS(X)
#undef X
#define X(name, Args) \
  if (tables.index.name != nullptr) found[#name].push_back("int64");
  EINKORN_INDEX_KERNELS(X)
#undef X
  py::dict out;
  for (const auto& [name, types] : found) out[py::str(name)] = py::tuple(py::cast(types));
  return out;
}

}  // namespace einkorn
