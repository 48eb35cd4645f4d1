// Lanes by number: 0, 1, 2, ..., the mask of the first n, a comparison as bits, and a choice of lanes made at run time.

#pragma once

#include "simd/simd.h"

namespace einkorn {
inline namespace EINKORN_ISA {

template <class T>
EINKORN_INLINE IntVec<T> lane_numbers() {
  IntVec<T> v = {};
  EINKORN_UNROLL for (int i = 0; i < kLanes<T>; ++i) v[i] = i;
  return v;
}

template <class T>
EINKORN_INLINE IntVec<T> first_lanes(int64_t n) {
  return lane_numbers<T>() < static_cast<typename VectorOf<T>::lane_integer>(n);
}

// Bit i is the lowest bit of lane i of a comparison.
template <class T>
EINKORN_INLINE uint64_t bits_of_lanes(IntVec<T> v) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return _mm512_movepi32_mask((__m512i)v);
  else
    return _mm512_movepi64_mask((__m512i)v);
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4)
    return static_cast<uint64_t>(_mm256_movemask_ps((__m256)v));
  else
    return static_cast<uint64_t>(_mm256_movemask_pd((__m256d)v));
#else
  uint64_t bits = 0;
  for (int i = 0; i < kLanes<T>; ++i) bits |= static_cast<uint64_t>(v[i] & 1) << i;
  return bits;
#endif
}

// Whether pick() is an instruction or three; elsewhere it goes lane by lane.
#if defined(__AVX512F__)
template <class T>
constexpr bool kFastPick = true;
#elif defined(__AVX2__)
template <class T>
constexpr bool kFastPick = sizeof(T) == 4;
#else
template <class T>
constexpr bool kFastPick = false;
#endif

// Lane i of the result is lane index[i] of (a, b) laid end to end.
template <class T>
EINKORN_INLINE Vec<T> pick(Vec<T> a, Vec<T> b, IntVec<T> index) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm512_permutex2var_ps((__m512)a, (__m512i)index, (__m512)b);
  else
    return (Vec<T>)_mm512_permutex2var_pd((__m512d)a, (__m512i)index, (__m512d)b);
#else
#if defined(__AVX2__)
  if constexpr (sizeof(T) == 4) {
    const Vec<T> from_a = (Vec<T>)_mm256_permutevar8x32_ps((__m256)a, (__m256i)index);
    const Vec<T> from_b = (Vec<T>)_mm256_permutevar8x32_ps((__m256)b, (__m256i)index);
    return index < kLanes<T> ? from_a : from_b;
  }
#endif
  Vec<T> out = {};
  for (int i = 0; i < kLanes<T>; ++i) out[i] = index[i] < kLanes<T> ? a[index[i]] : b[index[i] - kLanes<T>];
  return out;
#endif
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
