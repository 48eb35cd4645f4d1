// The kernel tables of one instruction set. Compiled once per instruction set, as the kernel bodies are.

#include "runtime/kernel_table.h"

// An instruction set of narrow numbers has bodies of those families alone; its table is empty elsewhere.
#ifdef EINKORN_NARROW_ISA
#define EINKORN_FLOAT_BODIES(F)
#ifdef EINKORN_TILES
#define EINKORN_STORED_BODIES(F)
#else
#define EINKORN_STORED_BODIES(F) EINKORN_PAIR_FAMILIES(F)
#endif
#define EINKORN_INDEX_BODIES(F) EINKORN_NARROW_FAMILIES(F)
#else
#define EINKORN_FLOAT_BODIES(F) EINKORN_FLOAT_FAMILIES(F)
#define EINKORN_STORED_BODIES(F) EINKORN_STORED_FAMILIES(F)
#define EINKORN_INDEX_BODIES(F) EINKORN_INDEX_FAMILIES(F)
#endif

namespace einkorn::EINKORN_ISA {

#define F(Table, KERNELS) KERNELS(X)
#define X(name, Args) \
  template <class T>  \
  void name(const Args<T>&);
EINKORN_FLOAT_BODIES(F)
EINKORN_STORED_BODIES(F)
#undef X
#define X(name, Args) void name(const Args&);
EINKORN_INDEX_BODIES(F)
#undef X
#undef F

extern const Tables kTables;
const Tables kTables = {
#define F(Table, KERNELS) .Table##_f32 = {KERNELS(X)},
#define X(name, Args) &EINKORN_ISA::name<float>,
    EINKORN_FLOAT_BODIES(F)
#undef F
#undef X
#define F(Table, KERNELS) .Table##_f64 = {KERNELS(X)},
#define X(name, Args) &EINKORN_ISA::name<double>,
        EINKORN_FLOAT_BODIES(F)
#undef F
#undef X
#define F(Table, KERNELS) .Table##_bf16 = {KERNELS(X)},
#define X(name, Args) &EINKORN_ISA::name<uint16_t>,
            EINKORN_STORED_BODIES(F)
#undef F
#undef X
#define F(Table, KERNELS) .Table##_index = {KERNELS(X)},
#define X(name, Args) &EINKORN_ISA::name,
                EINKORN_INDEX_BODIES(F)
#undef X
#undef F
};

}  // namespace einkorn::EINKORN_ISA
