// Transposing a square of vectors in registers.

#pragma once

#include "simd/simd.h"

namespace einkorn {
inline namespace EINKORN_ISA {

// Two-source permutation with constant lanes: lane i of the result is lane index[i] of (a, b) laid end to end.
template <class T, class V, class I>
EINKORN_INLINE V permute2(V a, V b, I index) {
#if defined(__clang__)
  V out;
  for (int i = 0; i < kLanes<T>; ++i) out[i] = index[i] < kLanes<T> ? a[index[i]] : b[index[i] - kLanes<T>];
  return out;
#else
  return __builtin_shuffle(a, b, index);
#endif
}

// v[i] lane j becomes v[j] lane i. log2(lanes) rounds; each exchanges the off-diagonal halves of blocks twice as large.
template <class T>
EINKORN_INLINE void transpose_square(Vec<T> (&v)[kLanes<T>]) {
  constexpr int L = kLanes<T>;
  EINKORN_UNROLL for (int half = 1; half < L; half *= 2) {
    IntVec<T> low, high;
    for (int lane = 0; lane < L; ++lane) {
      low[lane] = (lane & half) ? L + lane - half : lane;
      high[lane] = (lane & half) ? L + lane : lane + half;
    }
    EINKORN_UNROLL for (int i = 0; i < L; ++i) {
      if (i & half) continue;
      const Vec<T> a = v[i], b = v[i + half];
      v[i] = permute2<T>(a, b, low);
      v[i + half] = permute2<T>(a, b, high);
    }
  }
}

// out[j * out_step + i] = in[i * in_step + j] for i < rows <= lanes, j < columns <= lanes. Rows past `rows` are written as
// zeros: each of the `columns` output rows is a whole vector.
template <class T>
EINKORN_INLINE void transpose_block(T* out, int64_t out_step, const T* in, int64_t in_step, int64_t rows,
                                    int64_t columns) {
  constexpr int L = kLanes<T>;
  Vec<T> v[L];
  if (rows == L && columns == L) {
    EINKORN_UNROLL for (int i = 0; i < L; ++i) v[i] = load(in + i * in_step);
    transpose_square<T>(v);
    EINKORN_UNROLL for (int j = 0; j < L; ++j) store(out + j * out_step, v[j]);
    return;
  }
  EINKORN_UNROLL for (int i = 0; i < L; ++i) v[i] = i < rows ? load_partial(in + i * in_step, columns) : Vec<T>{};
  transpose_square<T>(v);
  EINKORN_UNROLL for (int j = 0; j < L; ++j) if (j < columns) store(out + j * out_step, v[j]);
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
