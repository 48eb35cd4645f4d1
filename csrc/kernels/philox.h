// Philox4x32-10: random words as a function of (seed, position). Any stretch of the stream can be made on its own.
//
// A stream of 32-bit words for each seed: word w is lane w % 4 of the counter c = w / 4,
//
//   (x0, x1, x2, x3) = (lo c, hi c, 0, 0),   key (k0, k1) = (lo seed, hi seed);   ten times
//   (x0, x1, x2, x3) = (hi(M1 x2) ^ x1 ^ k0,  lo(M1 x2),  hi(M0 x0) ^ x3 ^ k1,  lo(M0 x0));   k0 += W0, k1 += W1
//
// Here each x lies in the low halves of 64-bit lanes, one counter a lane: a single multiplication gives both halves of
// a product, and since it looks at low halves only, what is left in the high ones need not be cleared. Ten rounds are
// 60 instructions for 8 counters, 128 bytes, with AVX-512. They depend on each other: several vectors of counters go
// side by side.
//
//   vectors side by side, GB/s of words on one core     1      2      4      8
//     avx512                                           15.9   17.9   21.5   25.5
//     avx2                                              6.8    7.5    9.5    9.4
//     baseline (SSE2)                                   3.4    3.8    5.1    4.5
//
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011.

#pragma once

#include "simd/integer.h"

namespace einkorn {
inline namespace EINKORN_ISA {

constexpr int kChains = kVectorBytes == 64 ? 8 : 4;
constexpr int kWords = kChains * 4 * kLanes<uint64_t>;  // made at once

// The words of kChains vectors of counters, c[i] the counters of vector i; place(i) is where its words go, 4 a counter.
template <class Place>
EINKORN_INLINE void philox_chains(const Vec<uint64_t> (&c)[kChains], uint64_t seed, const Place& place) {
  using V = Vec<uint64_t>;
  constexpr int lanes = kLanes<uint64_t>;
  const V low_half = broadcast<uint64_t>(0xffffffff);
  const V m0 = broadcast<uint64_t>(0xD2511F53), m1 = broadcast<uint64_t>(0xCD9E8D57);
  V x0[kChains], x1[kChains], x2[kChains], x3[kChains];
  EINKORN_UNROLL for (int i = 0; i < kChains; ++i) {
    x0[i] = c[i];
    x1[i] = c[i] >> 32;
    x2[i] = x3[i] = V{};
  }
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  EINKORN_UNROLL for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9, k1 += 0xBB67AE85) {
    EINKORN_UNROLL for (int i = 0; i < kChains; ++i) {
      const V p0 = multiply_low_halves(x0[i], m0), p1 = multiply_low_halves(x2[i], m1);
      x0[i] = (p1 >> 32) ^ x1[i] ^ static_cast<uint64_t>(k0);
      x2[i] = (p0 >> 32) ^ x3[i] ^ static_cast<uint64_t>(k1);
      x1[i] = p1;
      x3[i] = p0;
    }
  }
  EINKORN_UNROLL for (int i = 0; i < kChains; ++i) {
    const V x01 = (x0[i] & low_half) | (x1[i] << 32), x23 = (x2[i] & low_half) | (x3[i] << 32);
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
EINKORN_INLINE void philox(uint32_t* words, int64_t n, uint64_t seed, uint64_t counter) {
  constexpr int lanes = kLanes<uint64_t>;
  Vec<uint64_t> next = counters_from(counter);
  for (uint32_t* const end = words + n; words < end; words += kWords) {
    Vec<uint64_t> c[kChains];
    EINKORN_UNROLL for (int i = 0; i < kChains; ++i, next += static_cast<uint64_t>(lanes)) c[i] = next;
    philox_chains(c, seed, [&](int i) { return words + i * 4 * lanes; });
  }
}

// Short stretches, one a row: words[r * pitch + 0 .. 4 lanes) = the words of the counters from counter + r * step on.
EINKORN_INLINE void philox_rows(uint32_t* words, int64_t pitch, int64_t rows, uint64_t seed, uint64_t counter,
                                uint64_t step) {
  for (int64_t r = 0; r < rows; r += kChains) {
    Vec<uint64_t> c[kChains];
    int64_t row[kChains];
    EINKORN_UNROLL for (int i = 0; i < kChains; ++i) {
      row[i] = r + i < rows ? r + i : rows - 1;  // past the end: the last row again
      c[i] = counters_from(counter + static_cast<uint64_t>(row[i]) * step);
    }
    philox_chains(c, seed, [&](int i) { return words + row[i] * pitch; });
  }
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
