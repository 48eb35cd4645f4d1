// Vectors of integers: unsigned ones for random words and hashes, the place of the lowest bit for sets.

#pragma once

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "simd/shuffle.h"
#include "simd/simd.h"

namespace einkorn {
inline namespace EINKORN_ISA {

template <>
struct VectorOf<uint32_t> {
  typedef uint32_t type __attribute__((vector_size(kVectorBytes)));
  typedef uint32_t any __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));
  typedef int32_t integer __attribute__((vector_size(kVectorBytes)));
  using lane_integer = int32_t;
};

template <>
struct VectorOf<uint64_t> {
  typedef uint64_t type __attribute__((vector_size(kVectorBytes)));
  typedef uint64_t any __attribute__((vector_size(kVectorBytes), aligned(8), may_alias));
  typedef int64_t integer __attribute__((vector_size(kVectorBytes)));
  using lane_integer = int64_t;
};

// Products of the low 32 bits of each lane, whole. The high halves of a and b are not looked at.
EINKORN_INLINE Vec<uint64_t> multiply_low_halves(Vec<uint64_t> a, Vec<uint64_t> b) {
#if defined(__AVX512F__)
  return (Vec<uint64_t>)_mm512_maskz_mul_epu32(0xff, (__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (Vec<uint64_t>)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
  return (Vec<uint64_t>)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
  return (a & 0xffffffff) * (b & 0xffffffff);
#endif
}

// p[i] = the low 32 bits of lane i.
EINKORN_INLINE void store_low_halves(int32_t* p, IntVec<double> v) {
  typedef int32_t Half __attribute__((vector_size(kVectorBytes / 2)));
  const Half low = __builtin_convertvector(v, Half);
  memcpy(p, &low, sizeof low);
}

// The place of each lane's lowest bit that is set. No lane may be 0.
EINKORN_INLINE Vec<int32_t> lowest_bit(Vec<int32_t> v) {
  const Vec<uint32_t> bits = (Vec<uint32_t>)v;
  const Vec<int32_t> bit = (Vec<int32_t>)(bits & -bits);
#if defined(__AVX512CD__)
  return 31 - (Vec<int32_t>)_mm512_lzcnt_epi32((__m512i)bit);
#else
  // As a float, a power of two is its exponent.
  return (((Vec<int32_t>)__builtin_convertvector(bit, Vec<float>) >> 23) & 0xff) - 127;
#endif
}

EINKORN_INLINE IntVec<double> lowest_bit(IntVec<double> v) {
#if defined(__AVX512CD__)
  const Vec<uint64_t> bits = (Vec<uint64_t>)v;
  return 63 - (IntVec<double>)_mm512_lzcnt_epi64((__m512i)(bits & -bits));
#else
  for (int i = 0; i < kLanes<double>; ++i) v[i] = __builtin_ctzll(static_cast<unsigned long long>(v[i]));
  return v;
#endif
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
