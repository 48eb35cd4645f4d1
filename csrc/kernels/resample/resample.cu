// Interpolation by tables on the GPU: a thread an output, which sums rows first and then columns, as the CPU does. What neighbouring
// outputs share of x comes from L1.
//
// Roofline: x and out once, 8 bytes an element of each (float32); bilinear to [32, 64, 256, 256] 0.54 GB written, 0.2 ms at 3.0 TB/s with
// x. Row taps are summed again for each column tap: 4 reads an output bilinear, 16 cubic, from L1.
// Plan: resample_outputs: 48 registers, 5 blocks of 256 threads an SM

#include "kernels/cuda_launch.h"
#include "kernels/instantiate.h"
#include "kernels/resample/resample.h"

namespace einkorn::cuda {

namespace {

template <class T>
__global__ void resample_outputs(Resample<T> k) {
  const int64_t height = k.rows == nullptr ? k.height : k.out_height;
  const int64_t width = k.columns == nullptr ? k.width : k.out_width;
  grid_stride(k.planes * height * width, [&](int64_t index) {
    const int64_t line = quotient(index, width), j = index - line * width;
    const int64_t plane = quotient(line, height), i = line - plane * height;
    const T* const x = k.x + plane * k.height * k.width;
    const auto row_sum = [&](int64_t column) {
      if (k.rows == nullptr) return x[i * k.width + column];
      T sum = 0;
      for (int64_t s = 0; s < k.row_taps; ++s) {
        const int64_t at = k.rows[s * height + i];
        if (at >= 0) sum += k.row_weights[s * height + i] * x[at * k.width + column];
      }
      return sum;
    };
    T sum = 0;
    if (k.columns == nullptr) sum = row_sum(j);
    for (int64_t t = 0; k.columns != nullptr && t < k.column_taps; ++t) {
      const int64_t at = k.columns[t * width + j];
      if (at >= 0) sum += k.column_weights[t * width + j] * row_sum(at);
    }
    k.out[index] = sum;
  });
}

}  // namespace

template <class T>
void resample(const Resample<T>& k) {
  const int64_t height = k.rows == nullptr ? k.height : k.out_height;
  const int64_t width = k.columns == nullptr ? k.width : k.out_width;
  launch_over("resample", resample_outputs<T>, k.planes * height * width, k);
}

EINKORN_INSTANTIATE(resample, Resample)

}  // namespace einkorn::cuda
