// Between bfloat16 and float or double on the GPU: the walk of elementwise_cuda.h, 16 bytes of the wider type at a time.
//
// Roofline: 6 bytes an element with float, 10 with double; 64 million to or from float 0.4 GB, 0.13 ms at 3.0 TB/s.

#include "kernels/cast.h"
#include "kernels/cuda_stored.h"
#include "kernels/elementwise/elementwise_cuda.h"
#include "kernels/instantiate.h"

namespace einkorn::cuda {

namespace {

// To float so that a second rounding, to bfloat16, rounds as one: what lies between two floats becomes the odd one of them.
__device__ __forceinline__ float rounded_to_odd(double x) {
  const float near = static_cast<float>(x);
  if (static_cast<double>(near) == x || x != x) return near;
  const uint32_t bits = __float_as_uint(near);
  return __uint_as_float((::fabs(static_cast<double>(near)) > ::fabs(x) ? bits - 1 : bits) | 1);
}
__device__ __forceinline__ float rounded_to_odd(float x) {
  return x;
}

template <class T>
struct Widen {
  __device__ T operator()(uint16_t x) const { return static_cast<T>(widened(x)); }
};

template <class T>
struct Narrow {
  __device__ uint16_t operator()(T x) const { return narrowed<uint16_t>(rounded_to_odd(x)); }
};

}  // namespace

template <class T>
void widen_bf16(const WidenBf16<T>& k) {
  for_elements<1>("widen_bf16", k.layout, k.out, {k.x}, Widen<T>{});
}

template <class T>
void narrow_bf16(const NarrowBf16<T>& k) {
  for_elements<1>("narrow_bf16", k.layout, k.out, {k.x}, Narrow<T>{});
}

EINKORN_INSTANTIATE(widen_bf16, WidenBf16)
EINKORN_INSTANTIATE(narrow_bf16, NarrowBf16)

}  // namespace einkorn::cuda
