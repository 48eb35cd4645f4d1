// Products of narrow numbers that lie in a lane together, added to the lane's sum. Each group is one 32-bit lane:
//
//   add_pairs    two bfloat16      sum += a0 b0 + a1 b1                        float   vdpbf16ps
//   add_quads    four bytes        sum += a0 b0 + a1 b1 + a2 b2 + a3 b3        int32   vpdpbusd: a without a sign, b with one
//   add_shorts   two int16         sum += a0 b0 + a1 b1                        int32   pmaddwd and an addition
//
// The first two are there where kHasPairs and kHasQuads say so, the third everywhere.

#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "simd/bfloat16.h"

namespace einkorn {
inline namespace EINKORN_ISA {

#if defined(__AVX512BF16__)
constexpr bool kHasPairs = true;
// Products and their sum are rounded to the nearest in two steps; subnormal operands and results are zeros.
EINKORN_INLINE Vec<float> add_pairs(Vec<float> sum, Vec<int32_t> a, Vec<int32_t> b) {
  return (Vec<float>)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
}
#else
constexpr bool kHasPairs = false;
#endif

#if defined(__AVX512VNNI__)
constexpr bool kHasQuads = true;
EINKORN_INLINE Vec<int32_t> add_quads(Vec<int32_t> sum, Vec<int32_t> a, Vec<int32_t> b) {
  return (Vec<int32_t>)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
}
#else
constexpr bool kHasQuads = false;
#endif

EINKORN_INLINE Vec<int32_t> add_shorts(Vec<int32_t> sum, Vec<int32_t> a, Vec<int32_t> b) {
#if defined(__AVX512BW__)
  return sum + (Vec<int32_t>)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return sum + (Vec<int32_t>)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
  return sum + (Vec<int32_t>)_mm_madd_epi16((__m128i)a, (__m128i)b);
#else
  return sum + (a << 16 >> 16) * (b << 16 >> 16) + (a >> 16) * (b >> 16);
#endif
}

// n halves from p on, 0 <= n <= two a lane, as lanes of two; zeros past n.
EINKORN_INLINE Vec<int32_t> load_pairs(const uint16_t* p, int64_t n) {
  Vec<int32_t> v = {};
  if (n == 2 * kLanes<int32_t>)
    memcpy(&v, p, sizeof v);
  else
#if defined(__AVX512BW__)
    v = (Vec<int32_t>)_mm512_maskz_loadu_epi16((__mmask32)((1ull << n) - 1), p);
#else
  {
    uint16_t half[2 * kLanes<int32_t>] = {};
    for (int64_t i = 0; i < n; ++i) half[i] = p[i];
    memcpy(&v, half, sizeof v);
  }
#endif
  return v;
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
