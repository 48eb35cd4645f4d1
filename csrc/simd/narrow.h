// Bytes and masks: image rows widened to int32 lanes, comparisons narrowed to bits, loads from places of one's own.

#pragma once

#include "simd/integer.h"
#include "simd/lanes.h"
#include "simd/shuffle.h"

namespace einkorn {
inline namespace EINKORN_ISA {

// Vectors of one byte, and of half a vector's bytes, for each lane of int32.
typedef uint8_t LaneBytes __attribute__((vector_size(kVectorBytes / 4)));

// kLanes<int32_t> bytes as numbers. (GCC 12 makes this of the conversion lane by lane.)
EINKORN_INLINE Vec<int32_t> load_bytes(const uint8_t* p) {
#if defined(__AVX512F__)
  return (Vec<int32_t>)_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#elif defined(__AVX2__)
  return (Vec<int32_t>)_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
#else
  LaneBytes v;
  memcpy(&v, p, sizeof v);
  return __builtin_convertvector(v, Vec<int32_t>);
#endif
}

// The first n of them, 0 < n <= kLanes; the others are 0, and are not read.
EINKORN_INLINE Vec<int32_t> load_bytes_partial(const uint8_t* p, int64_t n) {
#if defined(__AVX512BW__) && defined(__AVX512VL__)
  return (Vec<int32_t>)_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8((__mmask16)((1u << n) - 1u), p));
#else
  Vec<int32_t> v = {};
  for (int i = 0; i < kLanes<int32_t>; ++i)
    if (i < n) v[i] = p[i];
  return v;
#endif
}

// The lowest byte of each.
EINKORN_INLINE void store_bytes(uint8_t* p, Vec<int32_t> v) {
#if defined(__AVX512F__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8((__m512i)v));
#elif defined(__AVX2__)
  const __m256i low = (__m256i)(v & 255);
  const __m128i pairs = _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(pairs, pairs));
#else
  const LaneBytes narrow = __builtin_convertvector(v, LaneBytes);
  memcpy(p, &narrow, sizeof narrow);
#endif
}

EINKORN_INLINE void store_bytes_partial(uint8_t* p, int64_t n, Vec<int32_t> v) {
#if defined(__AVX512BW__) && defined(__AVX512VL__)
  _mm_mask_storeu_epi8(p, (__mmask16)((1u << n) - 1u), _mm512_cvtepi32_epi8((__m512i)v));
#else
  for (int i = 0; i < kLanes<int32_t>; ++i)
    if (i < n) p[i] = static_cast<uint8_t>(v[i]);
#endif
}

EINKORN_INLINE Vec<float> to_float(Vec<int32_t> v) {
  return __builtin_convertvector(v, Vec<float>);
}

// Bit i is set where lane i of a comparison holds.
EINKORN_INLINE uint32_t lane_bits(IntVec<float> mask) {
#if defined(__AVX512F__)
  return _mm512_movepi32_mask((__m512i)mask);
#elif defined(__AVX2__)
  return static_cast<uint32_t>(_mm256_movemask_ps((__m256)mask));
#else
  uint32_t found = 0;
  for (int i = 0; i < kLanes<float>; ++i) found |= static_cast<uint32_t>(mask[i] & 1) << i;
  return found;
#endif
}

// Lane i is p[index[i]].
EINKORN_INLINE Vec<int32_t> gather(const int32_t* p, Vec<int32_t> index) {
#if defined(__AVX512F__)
  return (Vec<int32_t>)_mm512_i32gather_epi32((__m512i)index, p, 4);
#elif defined(__AVX2__)
  return (Vec<int32_t>)_mm256_i32gather_epi32(p, (__m256i)index, 4);
#else
  Vec<int32_t> v = {};
  for (int i = 0; i < kLanes<int32_t>; ++i) v[i] = p[index[i]];
  return v;
#endif
}

// The same of floats.
EINKORN_INLINE Vec<float> gather_floats(const float* p, Vec<int32_t> index) {
#if defined(__AVX512F__)
  return (Vec<float>)_mm512_i32gather_ps((__m512i)index, p, 4);
#elif defined(__AVX2__)
  return (Vec<float>)_mm256_i32gather_ps(p, (__m256i)index, 4);
#else
  Vec<float> v = {};
  for (int i = 0; i < kLanes<float>; ++i) v[i] = p[index[i]];
  return v;
#endif
}

// The same and what lies one further on, in as many loads.
EINKORN_INLINE void gather_pairs(const float* p, Vec<int32_t> index, Vec<float>& low, Vec<float>& high) {
#if defined(__AVX512F__)
  const Vec<float> a = (Vec<float>)_mm512_i32gather_pd(_mm512_castsi512_si256((__m512i)index), p, 4);
  const Vec<float> b = (Vec<float>)_mm512_i32gather_pd(_mm512_extracti64x4_epi64((__m512i)index, 1), p, 4);
  low = even<float>(a, b);
  high = odd<float>(a, b);
#else
  low = gather_floats(p, index);
  high = gather_floats(p + 1, index);
#endif
}

// Lane i is the four bytes from p + index[i] on, the first one lowest.
EINKORN_INLINE Vec<int32_t> gather_bytes(const uint8_t* p, Vec<int32_t> index) {
#if defined(__AVX512F__)
  return (Vec<int32_t>)_mm512_i32gather_epi32((__m512i)index, p, 1);
#elif defined(__AVX2__)
  return (Vec<int32_t>)_mm256_i32gather_epi32(reinterpret_cast<const int*>(p), (__m256i)index, 1);
#else
  Vec<int32_t> v = {};
  for (int i = 0; i < kLanes<int32_t>; ++i) memcpy(reinterpret_cast<char*>(&v) + 4 * i, p + index[i], 4);
  return v;
#endif
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
