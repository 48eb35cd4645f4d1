// The dispatch table: one function pointer per kernel and element type, one table per instruction set.
//
// Each table is filled by the compiler in kernels/isa_table.cpp. At import the best instruction set that the CPU and
// the operating system support becomes active; EINKORN_ISA or set_isa() choose another.

#pragma once

#include <string>
#include <type_traits>
#include <vector>

#include "runtime/kernel_table.h"

namespace einkorn {

const Tables& active_tables();

// The table that a pointer to a member of it belongs to: launch(&KernelTable<float>::matmul, ...) looks here.
template <class Table>
const Table& active_table() {
  if constexpr (std::is_same_v<Table, KernelTable<float>>)
    return active_tables().f32;
  else if constexpr (std::is_same_v<Table, KernelTable<double>>)
    return active_tables().f64;
  else
    return active_tables().index;
}

// Instruction sets, by name ("baseline", "avx2", "avx512", "neon"): built into this library and present on this
// machine, slowest first; the active one; and a choice among them, which throws std::invalid_argument when it is not on
// the list.
std::vector<std::string> available_isas();
std::string active_isa();
void set_isa(const std::string& name);

}  // namespace einkorn
