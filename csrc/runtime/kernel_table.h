// The shape of a dispatch table, made from the kernel list. Free of the standard library, because kernel objects
// include it.

#pragma once

#include "kernels/kernel_list.h"

namespace einkorn {

template <class T>
struct KernelTable {
#define X(name, Args) void (*name)(const Args<T>&) = nullptr;
  EINKORN_FLOAT_KERNELS(X)
#undef X
};

struct IndexKernelTable {
#define X(name, Args) void (*name)(const Args&) = nullptr;
  EINKORN_INDEX_KERNELS(X)
#undef X
};

struct Tables {
  KernelTable<float> f32;
  KernelTable<double> f64;
  IndexKernelTable index;
};

}  // namespace einkorn
