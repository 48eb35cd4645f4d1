// Vectors of unsigned integers, for random words and hashes.

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

}  // namespace EINKORN_ISA
}  // namespace einkorn
