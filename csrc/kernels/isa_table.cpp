// The kernel table of one instruction set. Compiled once per instruction set, as the kernel bodies are.

#include "runtime/kernel_table.h"

namespace einkorn::EINKORN_ISA {

#define X(name, Args) \
  template <class T>  \
  void name(const Args<T>&);
EINKORN_FLOAT_KERNELS(X)
#undef X
#define X(name, Args) void name(const Args&);
EINKORN_INDEX_KERNELS(X)
#undef X

extern const Tables kTables;
const Tables kTables = {
#define X(name, Args) .name = &EINKORN_ISA::name<float>,
    .f32 = {EINKORN_FLOAT_KERNELS(X)},
#undef X
#define X(name, Args) .name = &EINKORN_ISA::name<double>,
    .f64 = {EINKORN_FLOAT_KERNELS(X)},
#undef X
#define X(name, Args) .name = &EINKORN_ISA::name,
    .index = {EINKORN_INDEX_KERNELS(X)},
#undef X
};

}  // namespace einkorn::EINKORN_ISA
