// Lanes on the move: windows of a row, even and odd lanes.
//
//   load_window     lanes [low, high) from memory, zero elsewhere: a row of pixels that sticks out over the image's edge
//   even, odd       a0 b0 a1 b1 ... in two vectors  ->  a0 a1 ...   and   b0 b1 ...
//   zip_low, _high  the way back

#pragma once

#include "simd/simd.h"
#include "simd/transpose.h"

namespace einkorn {
inline namespace EINKORN_ISA {

// The lanes i with low <= i < high, prepared once for many loads. low and high may lie outside [0, kLanes].
template <class T>
struct Window {
#if defined(__AVX512F__)
  uint32_t mask;
#elif defined(__AVX2__)
  IntVec<T> mask;
#else
  int low, high;
#endif
};

template <class T>
EINKORN_INLINE Window<T> make_window(int64_t low, int64_t high) {
  low = low < 0 ? 0 : low;
  high = high > kLanes<T> ? kLanes<T> : high;
  if (high < low) low = high = 0;
#if defined(__AVX512F__)
  return {((1u << high) - 1u) & ~((1u << low) - 1u)};
#elif defined(__AVX2__)
  IntVec<T> lane;
  EINKORN_UNROLL for (int i = 0; i < kLanes<T>; ++i) lane[i] = i;
  return {(lane >= static_cast<int>(low)) & (lane < static_cast<int>(high))};
#else
  return {static_cast<int>(low), static_cast<int>(high)};
#endif
}

// Lanes of the window hold p[i], the others zero and are not read.
template <class T>
EINKORN_INLINE Vec<T> load_window(const T* p, Window<T> window) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm512_maskz_loadu_ps((__mmask16)window.mask, p);
  else
    return (Vec<T>)_mm512_maskz_loadu_pd((__mmask8)window.mask, p);
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm256_maskload_ps(p, (__m256i)window.mask);
  else
    return (Vec<T>)_mm256_maskload_pd(p, (__m256i)window.mask);
#else
  if (window.high - window.low == kLanes<T>) return load(p);
  Vec<T> v = {};
  for (int i = 0; i < kLanes<T>; ++i)
    if (i >= window.low && i < window.high) v[i] = p[i];
  return v;
#endif
}

// Lane i of the result is lane make(i) of (a, b) laid end to end; make must be a constant function.
template <class T, class Make>
EINKORN_INLINE Vec<T> shuffle(Vec<T> a, Vec<T> b, Make make) {
  IntVec<T> index;
  EINKORN_UNROLL for (int i = 0; i < kLanes<T>; ++i) index[i] = make(i);
  return permute2<T>(a, b, index);
}

template <class T>
EINKORN_INLINE Vec<T> even(Vec<T> a, Vec<T> b) {
  return shuffle<T>(a, b, [](int i) { return 2 * i; });
}

template <class T>
EINKORN_INLINE Vec<T> odd(Vec<T> a, Vec<T> b) {
  return shuffle<T>(a, b, [](int i) { return 2 * i + 1; });
}

template <class T>
EINKORN_INLINE Vec<T> zip_low(Vec<T> a, Vec<T> b) {
  return shuffle<T>(a, b, [](int i) { return i / 2 + i % 2 * kLanes<T>; });
}

template <class T>
EINKORN_INLINE Vec<T> zip_high(Vec<T> a, Vec<T> b) {
  return shuffle<T>(a, b, [](int i) { return (i + kLanes<T>) / 2 + i % 2 * kLanes<T>; });
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
