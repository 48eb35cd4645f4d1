// The dispatch table: one function pointer per kernel and element type, one table per instruction set.
//
// Each table is filled by the compiler in kernels/isa_table.cpp. At import the best instruction set that the CPU and
// the operating system support becomes active; EINKORN_ISA or set_isa() choose another.

#pragma once

#include <string>
#include <vector>

namespace einkorn {

struct Tables;

const Tables& active_tables();

// The active table of one family: launch(&SoftmaxKernels<T>::softmax_forward, ...) looks in active_table<SoftmaxKernels<T>>().
// Defined for the families of kernels/kernel_list.h by EINKORN_DEFINE_ACTIVE_TABLES.
template <class Table>
const Table& active_table();

// Instruction sets, by name ("baseline", "avx2", "avx512", "avx512_bf16", "amx", "neon"): built into this library and present on this
// machine, slowest first; the active one; and a choice among them, which throws std::invalid_argument when it is not on
// the list.
std::vector<std::string> available_isas();
std::string active_isa();
void set_isa(const std::string& name);

}  // namespace einkorn
