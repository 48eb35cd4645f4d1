// Lanes by number: 0, 1, 2, ..., the mask of the first n, a comparison as bits, a choice of lanes made at run time, and the sums of the
// lanes of several vectors at once.

#pragma once

#include "simd/simd.h"
#include "simd/transpose.h"

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

// a's lanes where their number has not the bit `half`, b's where it has, each with its neighbour at that distance added.
template <class T, int half>
EINKORN_INLINE Vec<T> fold_pair(Vec<T> a, Vec<T> b) {
  IntVec<T> has = {}, beside = {};
  EINKORN_UNROLL for (int i = 0; i < kLanes<T>; ++i) {
    has[i] = (i & half) ? -1 : 0;
    beside[i] = i ^ half;
  }
  const Vec<T> own = has != 0 ? b : a, other = has != 0 ? a : b;
  return own + permute2<T>(other, other, beside);
}

// Lane i of the result is the sum of the lanes of v[i], in an order that is always the same; count <= kLanes. What summing them
// one by one takes is shared: three instructions a vector.
template <class T, int count, int half = 1>
EINKORN_INLINE Vec<T> sums_of_lanes(const Vec<T> (&v)[count]) {
  static_assert(count >= 1 && count <= kLanes<T>);
  if constexpr (half == kLanes<T>) {
    return v[0];
  } else {
    Vec<T> folded[(count + 1) / 2];
    EINKORN_UNROLL for (int i = 0; i < count; i += 2) folded[i / 2] =
        fold_pair<T, half>(v[i], v[i + 1 < count ? i + 1 : i]);
    return sums_of_lanes<T, (count + 1) / 2, half * 2>(folded);
  }
}

// The same for any count: out[i].
template <class T, int count>
EINKORN_INLINE void store_sums(T* out, const Vec<T> (&v)[count]) {
  if constexpr (count <= kLanes<T>) {
    store_partial(out, count, sums_of_lanes<T, count>(v));
  } else {
    Vec<T> first[kLanes<T>], rest[count - kLanes<T>];
    EINKORN_UNROLL for (int i = 0; i < count; ++i)(i < kLanes<T> ? first[i] : rest[i - kLanes<T>]) = v[i];
    store(out, sums_of_lanes<T, kLanes<T>>(first));
    store_sums<T, count - kLanes<T>>(out + kLanes<T>, rest);
  }
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
