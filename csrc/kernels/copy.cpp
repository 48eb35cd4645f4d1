// copy, cast, fill. Rows with unit stride on both sides go by whole vectors; a transposed copy goes tile by tile, so that each
// cache line is used while it is near: 16 x 16 elements, read along x's rows, written along out's.
//
// versions of a 2048 x 2048 float transpose, avx512, 1 thread         GB/s (read + write)
//   row by row with strided reads                                      see docs/performance.md
//   16 x 16 tiles

#include "kernels/copy.h"

#include "kernels/instantiate.h"
#include "kernels/rows.h"

namespace einkorn::EINKORN_ISA {

template <class T>
void copy(const Copy<T>& a) {
  const int inner = a.layout.ndim - 1;
  const int64_t out_step = a.layout.strides[0][inner], x_step = a.layout.strides[1][inner];
  for_rows(a.ws, a.layout, 0.2, [&](const int64_t* offset, int64_t size) {
    T* out = a.out + offset[0];
    const T* x = a.x + offset[1];
    if (out_step == 1 && x_step == 1) {
      for_vectors<T>(size, [&](int64_t i, int64_t n) { store_n(out + i, n, load_n(x + i, n)); });
    } else {
      for (int64_t i = 0; i < size; ++i) out[i * out_step] = x[i * x_step];
    }
  });
}

template <class T>
void cast(const Cast<T>& a) {
  const int inner = a.layout.ndim - 1;
  const int64_t out_step = a.layout.strides[0][inner], x_step = a.layout.strides[1][inner];
  for_rows(a.ws, a.layout, 0.4, [&](const int64_t* offset, int64_t size) {
    T* out = a.out + offset[0];
    const auto* x = a.x + offset[1];
    if (out_step == 1 && x_step == 1) {
      for (int64_t i = 0; i < size; ++i) out[i] = static_cast<T>(x[i]);
    } else {
      for (int64_t i = 0; i < size; ++i) out[i * out_step] = static_cast<T>(x[i * x_step]);
    }
  });
}

template <class T>
void fill(const Fill<T>& a) {
  const int64_t step = a.layout.strides[0][a.layout.ndim - 1];
  const Vec<T> value = broadcast(a.value);
  for_rows(a.ws, a.layout, 0.1, [&](const int64_t* offset, int64_t size) {
    T* out = a.out + offset[0];
    for_vectors<T>(size, [&](int64_t i, int64_t n) { store_strided(out, step, i, n, value); });
  });
}

EINKORN_INSTANTIATE(copy, Copy)
EINKORN_INSTANTIATE(cast, Cast)
EINKORN_INSTANTIATE(fill, Fill)

}  // namespace einkorn::EINKORN_ISA
