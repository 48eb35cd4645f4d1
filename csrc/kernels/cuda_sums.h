// Exclusive running sums of whole numbers: where things begin whose sizes are known.

#pragma once

#include "kernels/cuda_launch.h"

namespace einkorn::cuda {

// Exclusive sums of [rows, n], a block a row: a thread has n / kBlock neighbours.
template <int>  // a template, so that every file may have it
__global__ void __launch_bounds__(kBlock) scan_rows(int64_t* counts, int64_t rows, int64_t n) {
  __shared__ int64_t sums[kBlock];
  const int t = static_cast<int>(threadIdx.x);
  const int64_t each = (n + kBlock - 1) / kBlock, begin = t * each < n ? t * each : n;
  const int64_t end = begin + each < n ? begin + each : n;
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    int64_t* const x = counts + row * n;
    int64_t sum = 0;
    for (int64_t i = begin; i < end; ++i) sum += x[i];
    sums[t] = sum;
    __syncthreads();
    for (int distance = 1; distance < kBlock; distance *= 2) {
      const int64_t other = t >= distance ? sums[t - distance] : 0;
      __syncthreads();
      sums[t] += other;
      __syncthreads();
    }
    int64_t before = sums[t] - sum;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t here = x[i];
      x[i] = before;
      before += here;
    }
    __syncthreads();
  }
}

}  // namespace einkorn::cuda
