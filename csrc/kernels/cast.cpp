// widen_bf16, narrow_bf16: row by row; float rows without gaps by whole vectors, all others number by number.

#include "kernels/cast.h"

#include "kernels/instantiate.h"
#include "kernels/rows.h"
#include "simd/bfloat16.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr double kCost = 0.1;    // ns an element on one core
constexpr double kOneByOne = 1;  // the same where there are gaps, and for double

template <class T>
double cost_of(const Layout<2>& layout) {
  const int inner = layout.ndim - 1;
  const bool dense = layout.strides[0][inner] == 1 && layout.strides[1][inner] == 1;
  return sizeof(T) == sizeof(float) && dense ? kCost : kOneByOne;
}

}  // namespace

template <class T>
void widen_bf16(const WidenBf16<T>& k) {
  const int inner = k.layout.ndim - 1;
  const int64_t out_step = k.layout.strides[0][inner], x_step = k.layout.strides[1][inner];
  for_rows(k.ws, k.layout, cost_of<T>(k.layout), [&](const int64_t* offset, int64_t size) {
    T* const out = k.out + offset[0];
    const bfloat16* const x = k.x + offset[1];
    if constexpr (sizeof(T) == sizeof(float)) {
      if (out_step == 1 && x_step == 1) {
        for_vectors<float>(size, [&](int64_t i, int64_t n) { store_n(out + i, n, load_bf16_n(x + i, n)); });
        return;
      }
    }
    for (int64_t i = 0; i < size; ++i) out[i * out_step] = static_cast<T>(widened(x[i * x_step]));
  });
}

template <class T>
void narrow_bf16(const NarrowBf16<T>& k) {
  const int inner = k.layout.ndim - 1;
  const int64_t out_step = k.layout.strides[0][inner], x_step = k.layout.strides[1][inner];
  for_rows(k.ws, k.layout, cost_of<T>(k.layout), [&](const int64_t* offset, int64_t size) {
    bfloat16* const out = k.out + offset[0];
    const T* const x = k.x + offset[1];
    if constexpr (sizeof(T) == sizeof(float)) {
      if (out_step == 1 && x_step == 1) {
        for_vectors<float>(size, [&](int64_t i, int64_t n) { store_bf16_n(out + i, n, load_n(x + i, n)); });
        return;
      }
    }
    for (int64_t i = 0; i < size; ++i) out[i * out_step] = narrowed(x[i * x_step]);
  });
}

EINKORN_INSTANTIATE(widen_bf16, WidenBf16)
EINKORN_INSTANTIATE(narrow_bf16, NarrowBf16)

}  // namespace einkorn::EINKORN_ISA
