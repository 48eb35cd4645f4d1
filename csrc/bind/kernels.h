// What a module can do: every kernel of its active tables.

#pragma once

#include <pybind11/stl.h>

#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "runtime/kernel_table.h"
#include "runtime/launch.h"

namespace einkorn {

// visit(name, type, kernel) for every entry of the active tables; kernel is null where this engine has no body.
template <class Visit>
void for_each_kernel(const Visit& visit) {
  const auto entries = [&](const auto& table, const char* type) {
    const AnyKernel* const kernels = reinterpret_cast<const AnyKernel*>(&table);  // a table is a row of pointers
    for (size_t i = 0; i < std::size(table.kNames); ++i) visit(table.kNames[i], type, kernels[i]);
  };
  const Tables& tables = active_tables();
#define F(Table, KERNELS)                 \
  entries(tables.Table##_f32, "float32"); \
  entries(tables.Table##_f64, "float64");
  EINKORN_FLOAT_FAMILIES(F)
#undef F
#define F(Table, KERNELS) entries(tables.Table##_bf16, "bfloat16");
  EINKORN_BFLOAT16_FAMILIES(F)
#undef F
#define F(Table, KERNELS) entries(tables.Table##_index, "int64");
  EINKORN_INDEX_FAMILIES(F)
#undef F
}

// name -> element types, for the support matrix.
inline pybind11::dict kernels() {
  std::map<std::string, std::vector<std::string>> found;
  for_each_kernel([&](const char* name, const char* type, AnyKernel kernel) {
    if (kernel != nullptr) found[name].push_back(type);
  });
  pybind11::dict out;
  for (const auto& [name, types] : found) out[pybind11::str(name)] = pybind11::tuple(pybind11::cast(types));
  return out;
}

}  // namespace einkorn
