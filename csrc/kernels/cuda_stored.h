// Elements as they are kept and as they are computed with (stored.h), alone and in packs of 16 bytes.

#pragma once

#include "kernels/cuda_launch.h"
#include "kernels/cuda_pack.h"
#include "kernels/stored.h"

namespace einkorn::cuda {

template <class T>
__device__ __forceinline__ Number<T> widened(T v) {
  if constexpr (sizeof(T) == 2)
    return __uint_as_float(static_cast<uint32_t>(v) << 16);
  else
    return v;
}

// Rounded to the nearest, ties to even; NaN stays NaN, made quiet.
template <class T>
__device__ __forceinline__ T narrowed(Number<T> v) {
  if constexpr (sizeof(T) == 2) {
    const uint32_t bits = __float_as_uint(v);
    if (v != v) return static_cast<T>((bits >> 16) | 0x40);
    return static_cast<T>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
  } else {
    return v;
  }
}

template <class T>
constexpr int kPackOf = kPackBytes / sizeof(T);

// kPack neighbours, widened; a pack of more than one is aligned.
template <int kPack, class T>
__device__ __forceinline__ Pack<Number<T>, kPack> load_pack(const T* p) {
  const Pack<T, kPack> kept = *reinterpret_cast<const Pack<T, kPack>*>(p);
  Pack<Number<T>, kPack> pack;
#pragma unroll
  for (int e = 0; e < kPack; ++e) pack.v[e] = widened(kept.v[e]);
  return pack;
}

template <class T, int kPack>
__device__ __forceinline__ void store_pack(T* p, const Pack<Number<T>, kPack>& pack) {
  Pack<T, kPack> kept;
#pragma unroll
  for (int e = 0; e < kPack; ++e) kept.v[e] = narrowed<T>(pack.v[e]);
  *reinterpret_cast<Pack<T, kPack>*>(p) = kept;
}

// Whether arrays (null ones are) begin on the 16 bytes of a pack and have rows of whole packs.
template <class T, class... Pointers>
bool takes_packs_of(int64_t row, const Pointers*... arrays) {
  return row % kPackOf<T> == 0 && (is_aligned(arrays, kPackBytes) && ...);
}

}  // namespace einkorn::cuda
