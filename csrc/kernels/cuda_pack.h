// Neighbouring elements that are read or written at once, 16 bytes where everything is aligned.

#pragma once

#include <cuda_runtime.h>
#include <stdint.h>

namespace einkorn::cuda {

template <class T, int kCount>
struct alignas(kCount * sizeof(T)) Pack {
  T v[kCount];
};

constexpr int kPackBytes = 16;

__host__ __device__ inline bool is_aligned(const void* p, size_t bytes) {
  return reinterpret_cast<uintptr_t>(p) % bytes == 0;
}

}  // namespace einkorn::cuda
