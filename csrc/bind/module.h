// How a file of bindings becomes part of a module: EINKORN_BINDINGS(softmax, m) { m.def(...); } adds itself to the list
// that the module walks when it is imported. Which files a module has, CMake says.

#pragma once

#include <pybind11/pybind11.h>

#include <vector>

namespace einkorn {

using Bindings = void (*)(pybind11::module_& m);

// Filled before main: a function's static, so that it exists for whichever file comes first.
inline std::vector<Bindings>& all_bindings() {
  static std::vector<Bindings> bindings;
  return bindings;
}

inline bool add_bindings(Bindings bindings) {
  all_bindings().push_back(bindings);
  return true;
}

}  // namespace einkorn

#define EINKORN_BINDINGS(family, m)                                                             \
  static void bind_##family(pybind11::module_& m);                                              \
  [[maybe_unused]] static const bool family##_is_bound = einkorn::add_bindings(&bind_##family); \
  static void bind_##family(pybind11::module_& m)
