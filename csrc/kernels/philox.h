// Philox4x32-10: random words as a function of (seed, position). Any stretch of the stream can be made on its own.
//
// A stream of 32-bit words for each seed: word w is lane w % 4 of the counter c = w / 4,
//
//   (x0, x1, x2, x3) = (lo c, hi c, 0, 0),   key (k0, k1) = (lo seed, hi seed);   ten times
//   (x0, x1, x2, x3) = (hi(M1 x2) ^ x1 ^ k0,  lo(M1 x2),  hi(M0 x0) ^ x3 ^ k1,  lo(M0 x0));   k0 += W0, k1 += W1
//
// Here each x lies in the low halves of 64-bit lanes, one counter a lane: a single multiplication gives both halves of
// a product, and since it looks at low halves only, what is left in the high ones need not be cleared. Ten rounds are
// 57 instructions for 8 counters, 128 bytes, with AVX-512. They depend on each other: several vectors of counters go
// side by side.
//
//   vectors side by side, GB/s of words on one core     1      2      4      8
//     avx512                                           15.9   17.9   21.5   25.5
//     avx2                                              6.8    7.5    9.5    9.4
//     baseline (SSE2)                                   3.4    3.8    5.1    4.5
//
// Zen 4, AVX-512, cycles for a vector of words            1      2      4      8
//   shifts, eight chains too many for the registers              23.7   20.1   18.6 to 20.9
//   shuffles, which more ports take; half of the first
//   round and the joining of the last left out             25.7   22.1   19.2   20.0
//   the same, rounds as a loop                                           17.3
// 57 instructions for two vectors, two a cycle at most: 14.3.
//
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011.

#pragma once

#include "simd/integer.h"

namespace einkorn {
inline namespace EINKORN_ISA {

constexpr int kChains = 4;
constexpr int kWords = kChains * 4 * kLanes<uint64_t>;  // made at once

// The high halves of products, brought low.
EINKORN_INLINE Vec<uint64_t> high_halves(Vec<uint64_t> p) {
#if defined(__AVX512F__)
  return (Vec<uint64_t>)_mm512_shuffle_epi32((__m512i)p, _MM_PERM_CDAB);  // on more ports than a shift
#else
  return p >> 32;
#endif
}

EINKORN_INLINE Vec<uint64_t> exclusive(Vec<uint64_t> a, Vec<uint64_t> b, Vec<uint64_t> c) {
#if defined(__AVX512F__)
  return (Vec<uint64_t>)_mm512_ternarylogic_epi64((__m512i)a, (__m512i)b, (__m512i)c, 0x96);
#else
  return a ^ b ^ c;
#endif
}

// Two words a lane, the last round's: low halves (hi p ^ x ^ k), high halves lo p.
EINKORN_INLINE Vec<uint64_t> last_words(Vec<uint64_t> p, Vec<uint64_t> x, Vec<uint64_t> k) {
#if defined(__AVX512F__)
  const __m512i halves = _mm512_shuffle_epi32((__m512i)p, _MM_PERM_CDAB);
  return (Vec<uint64_t>)_mm512_mask_ternarylogic_epi32(halves, 0x5555, (__m512i)x, (__m512i)k, 0x96);
#else
  return (((p >> 32) ^ x ^ k) & 0xffffffff) | (p << 32);
#endif
}

// The keys of a seed's rounds.
struct PhiloxKeys {
  uint64_t first[10], second[10];

  EINKORN_INLINE explicit PhiloxKeys(uint64_t seed) {
    uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9, k1 += 0xBB67AE85) first[round] = k0, second[round] = k1;
  }
};

// The words of kChains vectors of counters, c[i] the counters of vector i; place(i) is where its words go, 4 a counter. The first
// round has zeros to multiply; the last writes both halves where they belong.
template <class Place>
EINKORN_INLINE void philox_chains(const Vec<uint64_t> (&c)[kChains], const PhiloxKeys& keys, const Place& place) {
  using V = Vec<uint64_t>;
  constexpr int lanes = kLanes<uint64_t>;
  const V m0 = broadcast<uint64_t>(0xD2511F53), m1 = broadcast<uint64_t>(0xCD9E8D57);
  V x0[kChains], x1[kChains], x2[kChains], x3[kChains];
  EINKORN_UNROLL for (int i = 0; i < kChains; ++i) {
    const V p0 = multiply_low_halves(c[i], m0);
    x0[i] = high_halves(c[i]) ^ keys.first[0];
    x1[i] = V{};
    x2[i] = high_halves(p0) ^ keys.second[0];
    x3[i] = p0;
  }
  _Pragma("GCC unroll 1") for (int round = 1; round < 9; ++round) {
    const V k0 = broadcast(keys.first[round]), k1 = broadcast(keys.second[round]);
    EINKORN_UNROLL for (int i = 0; i < kChains; ++i) {
      const V p0 = multiply_low_halves(x0[i], m0), p1 = multiply_low_halves(x2[i], m1);
      x0[i] = exclusive(high_halves(p1), x1[i], k0);
      x2[i] = exclusive(high_halves(p0), x3[i], k1);
      x1[i] = p1;
      x3[i] = p0;
    }
  }
  const V k0 = broadcast(keys.first[9]), k1 = broadcast(keys.second[9]);
  EINKORN_UNROLL for (int i = 0; i < kChains; ++i) {
    const V x01 = last_words(multiply_low_halves(x2[i], m1), x1[i], k0);
    const V x23 = last_words(multiply_low_halves(x0[i], m0), x3[i], k1);
    uint64_t* const pairs = reinterpret_cast<uint64_t*>(place(i));
    store(pairs, zip_low<uint64_t>(x01, x23));
    store(pairs + lanes, zip_high<uint64_t>(x01, x23));
  }
}

EINKORN_INLINE Vec<uint64_t> counters_from(uint64_t counter) {
  Vec<uint64_t> c = {};
  EINKORN_UNROLL for (int i = 0; i < kLanes<uint64_t>; ++i) c[i] = static_cast<uint64_t>(i);
  return c + counter;
}

// words[0 : n] = the words of the counters from `counter` on. Whole vectors are written: room for n rounded up to
// kWords.
EINKORN_INLINE void philox(uint32_t* words, int64_t n, const PhiloxKeys& keys, uint64_t counter) {
  constexpr int lanes = kLanes<uint64_t>;
  Vec<uint64_t> next = counters_from(counter);
  for (uint32_t* const end = words + n; words < end; words += kWords) {
    Vec<uint64_t> c[kChains];
    EINKORN_UNROLL for (int i = 0; i < kChains; ++i, next += static_cast<uint64_t>(lanes)) c[i] = next;
    philox_chains(c, keys, [&](int i) { return words + i * 4 * lanes; });
  }
}

EINKORN_INLINE void philox(uint32_t* words, int64_t n, uint64_t seed, uint64_t counter) {
  philox(words, n, PhiloxKeys(seed), counter);
}

// Short stretches, one a row: words[r * pitch + 0 .. 4 lanes) = the words of the counters from counter + r * step on.
EINKORN_INLINE void philox_rows(uint32_t* words, int64_t pitch, int64_t rows, uint64_t seed, uint64_t counter,
                                uint64_t step) {
  const PhiloxKeys keys(seed);
  for (int64_t r = 0; r < rows; r += kChains) {
    Vec<uint64_t> c[kChains];
    int64_t row[kChains];
    EINKORN_UNROLL for (int i = 0; i < kChains; ++i) {
      row[i] = r + i < rows ? r + i : rows - 1;  // past the end: the last row again
      c[i] = counters_from(counter + static_cast<uint64_t>(row[i]) * step);
    }
    philox_chains(c, keys, [&](int i) { return words + row[i] * pitch; });
  }
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
