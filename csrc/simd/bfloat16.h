// bfloat16: the upper half of a float. Kernels compute in float and keep bfloat16 in memory alone, so there are a load that
// widens and a store that rounds, to the nearest and in a tie to the even neighbour. Integers do both, exactly and on every
// instruction set: the instructions that narrow (vcvtneps2bf16) take subnormal numbers for zeros.
//
//   float   s eeeeeeee mmmmmmm mmmmmmmmmmmmmmmm        bfloat16 is what stands left of here
//                              ^ half of its last place

#pragma once

#include "simd/simd.h"

namespace einkorn {
inline namespace EINKORN_ISA {

using bfloat16 = uint16_t;  // its bits

typedef uint16_t LaneHalves __attribute__((vector_size(kVectorBytes / 2)));
typedef uint32_t LaneWords __attribute__((vector_size(kVectorBytes)));

EINKORN_INLINE float widened(bfloat16 half) {
  const uint32_t bits = static_cast<uint32_t>(half) << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

EINKORN_INLINE bfloat16 narrowed(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  // NaN stays NaN, made quiet: rounding could carry its payload away.
  if (value != value) return static_cast<bfloat16>(bits >> 16 | 0x40);
  return static_cast<bfloat16>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// A double is first cut to a float that is odd where digits were lost: never a tie that the double was not, so that what
// is rounded after it is rounded once (Boldo and Melquiond, "When double rounding is odd", 2005).
EINKORN_INLINE float cut_odd(double value) {
  const float near = static_cast<float>(value);
  const double back = near;
  uint32_t bits;
  memcpy(&bits, &near, sizeof bits);
  if (back != value && value == value && (bits & 1) == 0) {
    const bool short_of_it = (value < 0 ? -value : value) > (back < 0 ? -back : back);
    bits = short_of_it ? bits + 1 : bits - 1;
  }
  float odd;
  memcpy(&odd, &bits, sizeof odd);
  return odd;
}

EINKORN_INLINE bfloat16 narrowed(double value) {
  return narrowed(cut_odd(value));
}

// kLanes<float> of them.
EINKORN_INLINE Vec<float> load_bf16(const bfloat16* p) {
  LaneHalves half;
  memcpy(&half, p, sizeof half);
#if defined(__AVX512BW__)
  // One permutation, which puts zeros between them.
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i halves = _mm512_castsi256_si512((__m256i)half);
  return (Vec<float>)_mm512_maskz_permutexvar_epi16(0xaaaaaaaa, _mm512_slli_epi32(lanes, 16), halves);
#else
  return (Vec<float>)(__builtin_convertvector(half, LaneWords) << 16);
#endif
}

EINKORN_INLINE LaneHalves narrowed_lanes(Vec<float> v) {
  const LaneWords bits = (LaneWords)v;
  const LaneWords near = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  const LaneWords nan = bits >> 16 | 0x40;
  return __builtin_convertvector(v == v ? near : nan, LaneHalves);
}

EINKORN_INLINE void store_bf16(bfloat16* p, Vec<float> v) {
  const LaneHalves half = narrowed_lanes(v);
  memcpy(p, &half, sizeof half);
}

// The first n lanes, 0 <= n <= kLanes. Lanes past n read as zero and are not touched in memory.
EINKORN_INLINE Vec<float> load_bf16_n(const bfloat16* p, int64_t n) {
  if (n == kLanes<float>) return load_bf16(p);
#if defined(__AVX512F__)
  const __m256i half = _mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1u), p);
  return (Vec<float>)_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16);
#else
  bfloat16 half[kLanes<float>] = {};
  for (int64_t i = 0; i < n; ++i) half[i] = p[i];
  return load_bf16(half);
#endif
}

EINKORN_INLINE void store_bf16_n(bfloat16* p, int64_t n, Vec<float> v) {
  if (n == kLanes<float>) return store_bf16(p, v);
#if defined(__AVX512F__)
  _mm256_mask_storeu_epi16(p, (__mmask16)((1u << n) - 1u), (__m256i)narrowed_lanes(v));
#else
  bfloat16 half[kLanes<float>];
  store_bf16(half, v);
  for (int64_t i = 0; i < n; ++i) p[i] = half[i];
#endif
}

// The same under the names that floats have, for bodies that take either.
EINKORN_INLINE float widened(float value) {
  return value;
}
EINKORN_INLINE double widened(double value) {
  return value;
}
EINKORN_INLINE Vec<float> load(const bfloat16* p) {
  return load_bf16(p);
}
EINKORN_INLINE Vec<float> load_n(const bfloat16* p, int64_t n) {
  return load_bf16_n(p, n);
}
EINKORN_INLINE void store(bfloat16* p, Vec<float> v) {
  store_bf16(p, v);
}
EINKORN_INLINE void store_n(bfloat16* p, int64_t n, Vec<float> v) {
  store_bf16_n(p, n, v);
}
EINKORN_INLINE void store_partial(bfloat16* p, int64_t n, Vec<float> v) {
  store_bf16_n(p, n, v);
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
