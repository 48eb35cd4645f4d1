// Unfolding and folding on the GPU: a thread a column's element, or a pixel, which adds up the columns that it was copied to, tap by tap
// as the CPU does. Neighbouring threads are on neighbouring outputs or pixels of a row.
//
// Roofline: 8 bytes an element of the columns (float32), 256 MB of them 0.17 ms at 3.0 TB/s; a fold's pixels are few beside its
// columns. Divisions by sizes are 32 bits wide where numbers fit.
// Plan: unfold_columns: 48 registers, 5 blocks of 256 threads an SM

#include "kernels/conv/conv.h"
#include "kernels/cuda_launch.h"
#include "kernels/instantiate.h"

namespace einkorn::cuda {

namespace {

// i as digits of the given sizes, the last one first.
template <int N>
__device__ __forceinline__ void split(int64_t i, const int64_t (&sizes)[N], int64_t (&digits)[N]) {
  for (int d = N - 1; d >= 0; --d) {
    const int64_t rest = quotient(i, sizes[d]);
    digits[d] = i - rest * sizes[d];
    i = rest;
  }
}

template <class T>
__global__ void unfold_columns(Unfold<T> k, int64_t size) {
  const UnfoldShape& s = k.shape;
  grid_stride(size, [&](int64_t i) {
    int64_t at[8];
    split(i, {s.N, s.C, s.kernel[0], s.kernel[1], s.kernel[2], s.out[0], s.out[1], s.out[2]}, at);
    int64_t pixel = at[0] * s.C + at[1], to = 0;
    bool inside = true;
    for (int d = 0; d < 3; ++d) {
      const int64_t place = at[5 + d] * s.stride[d] + at[2 + d] * s.dilation[d] - s.pad[d];
      inside = inside && place >= 0 && place < s.size[d];
      pixel = pixel * s.size[d] + place;
    }
    for (int d = 0; d < 8; ++d) to += at[d] * s.step[d];
    k.columns[to] = inside ? k.x[pixel] : T{0};
  });
}

// The output that sees a place by a tap, or -1.
__device__ __forceinline__ int64_t output_of(const UnfoldShape& s, int d, int64_t place, int64_t tap) {
  const int64_t from = place + s.pad[d] - tap * s.dilation[d];
  if (from < 0) return -1;
  const int64_t out = quotient(from, s.stride[d]);
  return out * s.stride[d] == from && out < s.out[d] ? out : -1;
}

template <class T>
__global__ void fold_columns(Fold<T> k, int64_t size) {
  const UnfoldShape& s = k.shape;
  grid_stride(size, [&](int64_t i) {
    int64_t at[5];
    split(i, {s.N, s.C, s.size[0], s.size[1], s.size[2]}, at);
    const T* const columns = k.columns + at[0] * s.step[0] + at[1] * s.step[1];
    T sum = 0;
    for (int64_t t = 0; t < s.kernel[0]; ++t) {
      const int64_t z = output_of(s, 0, at[2], t);
      if (z < 0) continue;
      for (int64_t r = 0; r < s.kernel[1]; ++r) {
        const int64_t y = output_of(s, 1, at[3], r);
        if (y < 0) continue;
        for (int64_t c = 0; c < s.kernel[2]; ++c) {
          const int64_t x = output_of(s, 2, at[4], c);
          if (x < 0) continue;
          sum += columns[t * s.step[2] + r * s.step[3] + c * s.step[4] + z * s.step[5] + y * s.step[6] + x * s.step[7]];
        }
      }
    }
    k.x[i] = sum;
  });
}

int64_t product_of(const int64_t (&sizes)[3]) {
  return sizes[0] * sizes[1] * sizes[2];
}

}  // namespace

template <class T>
void unfold(const Unfold<T>& k) {
  const int64_t size = k.shape.N * k.shape.C * product_of(k.shape.kernel) * product_of(k.shape.out);
  launch_over("unfold", unfold_columns<T>, size, k, size);
}

template <class T>
void fold(const Fold<T>& k) {
  const int64_t size = k.shape.N * k.shape.C * product_of(k.shape.size);
  launch_over("fold", fold_columns<T>, size, k, size);
}

EINKORN_INSTANTIATE(unfold, Unfold)
EINKORN_INSTANTIATE(fold, Fold)

}  // namespace einkorn::cuda
