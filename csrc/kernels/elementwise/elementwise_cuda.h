// Walking N strided arrays of one shape, one element a thread: what copy.cu and elementwise.cu share.

#pragma once

#include "kernels/cuda_launch.h"
#include "kernels/layout.h"

namespace einkorn::cuda {

// Offsets of element number i, in row-major order, in every operand. Rest of a division: in 32 bits where the number fits,
// which is several times faster on a GPU.
template <int N, class Index>
__device__ __forceinline__ void find_offsets(const Layout<N>& layout, Index i, int64_t (&at)[N]) {
  for (int k = 0; k < N; ++k) at[k] = 0;
  for (int d = layout.ndim - 1; d > 0; --d) {
    const Index size = static_cast<Index>(layout.shape[d]), rest = i / size;
    const int64_t index = static_cast<int64_t>(i - rest * size);
    for (int k = 0; k < N; ++k) at[k] += index * layout.strides[k][d];
    i = rest;
  }
  for (int k = 0; k < N; ++k) at[k] += static_cast<int64_t>(i) * layout.strides[k][0];
}

// store(offsets) for every element. The branches go one way for the whole grid.
template <int N, class Store>
__global__ void for_elements_kernel(Layout<N> layout, int64_t size, Store store) {
  grid_stride(size, [&](int64_t i) {
    int64_t at[N];
    if (layout.ndim == 1) {
      for (int k = 0; k < N; ++k) at[k] = i * layout.strides[k][0];
    } else if (size <= UINT32_MAX) {
      find_offsets(layout, static_cast<uint32_t>(i), at);
    } else {
      find_offsets(layout, static_cast<uint64_t>(i), at);
    }
    store(at);
  });
}

template <int N, class Store>
void for_elements(const char* name, const Layout<N>& layout, const Store& store) {
  int64_t size = 1;
  for (int d = 0; d < layout.ndim; ++d) size *= layout.shape[d];
  launch_over(name, for_elements_kernel<N, Store>, size, layout, size, store);
}

}  // namespace einkorn::cuda
