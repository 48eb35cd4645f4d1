// The kernel tables of one instruction set. Compiled once per instruction set, as the kernel bodies are.

#include "runtime/kernel_table.h"

namespace einkorn::EINKORN_ISA {

#define F(Table, KERNELS) KERNELS(X)
#define X(name, Args) \
  template <class T>  \
  void name(const Args<T>&);
EINKORN_FLOAT_FAMILIES(F)
#undef X
#define X(name, Args) void name(const Args&);
EINKORN_INDEX_FAMILIES(F)
#undef X
#undef F

extern const Tables kTables;
const Tables kTables = {
#define F(Table, KERNELS) {KERNELS(X)},
#define X(name, Args) &EINKORN_ISA::name<float>,
    EINKORN_FLOAT_FAMILIES(F)
#undef X
#define X(name, Args) &EINKORN_ISA::name<double>,
        EINKORN_FLOAT_FAMILIES(F)
#undef X
#define X(name, Args) &EINKORN_ISA::name,
            EINKORN_INDEX_FAMILIES(F)
#undef X
#undef F
};

}  // namespace einkorn::EINKORN_ISA
