// Products of bfloat16 by pairs: a 32-bit lane holds two neighbours along k, and a step of a register tile multiplies both
// (vdpbf16ps). For the instruction sets that have the instruction; what others do with bfloat16 is in float.
//
//   an operand of which k follows itself in memory lies in pairs already; else two lines of k are put together, as
//
//     line k      a0 a1 a2 a3 ...
//     line k + 1  b0 b1 b2 b3 ...     ->     (a0 b0) (a1 b1) (a2 b2) (a3 b3) ...

#pragma once

#include "kernels/gemm_packed.h"
#include "simd/narrow_products.h"

namespace einkorn {
inline namespace EINKORN_ISA {

#if defined(__AVX512BF16__)

struct PairReader {
  static constexpr bool kAcross = true;
  EINKORN_INLINE static Vec<int32_t> along(const bfloat16* p, int64_t n) { return load_pairs(p, n); }

  EINKORN_INLINE static Vec<int32_t> across(const bfloat16* p, int64_t k_step, int64_t depth, int64_t lanes) {
    const Vec<float> first = load_bf16_n(p, lanes);
    const Vec<float> second = depth == 2 ? load_bf16_n(p + k_step, lanes) : Vec<float>{};
    return (Vec<int32_t>)((LaneWords)first >> 16 | (LaneWords)second);
  }
};

struct Pairs {
  using A = PairReader;
  using B = PairReader;
  using Packed = int32_t;
  using Sum = float;
  static constexpr int kGroup = 2;
  EINKORN_INLINE static Vec<float> add(Vec<float> sum, Vec<int32_t> a, Vec<int32_t> b) { return add_pairs(sum, a, b); }
  template <int kC, int kA, int kB, class Tiles>
  EINKORN_INLINE static void add_tiles(Tiles& tiles) {
    tiles.template add_pairs<kC, kA, kB>();
  }
};

// A tile as a function, as in gemm_tile.h (gemm_pairs.cpp). Depth and steps count pairs.
using PairSums = void (*)(int64_t depth, const int32_t* a, int64_t a_step, const int32_t* b, int64_t b_step,
                          float* sums, int64_t step);
PairSums choose_pair_tile(int64_t rows, int vectors, APanel panel);

// Two vectors of float rounded: the pairs of their lanes; and the numbers of the first, then of the second. Subnormal ones are zeros,
// as they are to the products.
EINKORN_INLINE Vec<int32_t> rounded_one_after_the_other(Vec<float> first, Vec<float> second) {
  return (Vec<int32_t>)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
}
EINKORN_INLINE Vec<int32_t> rounded_pairs(Vec<float> first, Vec<float> second) {
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i both = _mm512_or_si512(lanes, _mm512_slli_epi32(_mm512_add_epi32(lanes, _mm512_set1_epi32(16)), 16));
  return (Vec<int32_t>)_mm512_permutexvar_epi16(both, (__m512i)rounded_one_after_the_other(first, second));
}

#endif

}  // namespace EINKORN_ISA
}  // namespace einkorn
