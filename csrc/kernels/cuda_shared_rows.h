// Rows that one block trains alone, or that many train at once without locks (Niu et al. 2011).
//
// Alone, reads and writes are plain. With others, each goes to memory past the first cache, which other multiprocessors do not look into:
// a row is then as fresh as the card can have it, and of two additions to a number at the same time one may be lost, as on the CPU.

#pragma once

#include "kernels/cuda_launch.h"

namespace einkorn::cuda {

template <bool kAlone>
__device__ __forceinline__ float read_row(const float* p) {
  if constexpr (kAlone)
    return *p;
  else
    return *static_cast<const volatile float*>(p);
}

template <bool kAlone>
__device__ __forceinline__ void write_row(float* p, float value) {
  if constexpr (kAlone)
    *p = value;
  else
    *static_cast<volatile float*>(p) = value;
}

}  // namespace einkorn::cuda
