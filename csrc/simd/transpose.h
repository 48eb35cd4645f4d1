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

// The lanes of one round of a transposition, known when it is compiled.
//
// versions, 16 x 16 floats in the L1 cache, one core of Emerald Rapids                                                   cycles
//   lanes filled in by a loop: the compiler built them anew for each square, by masked broadcasts through the
//   port of the permutations                                                                                                192
//   known when it is compiled                                                                                                60
template <class T, int kHalf>
struct Exchange {
  using Lane = typename VectorOf<T>::lane_integer;
  alignas(kVectorBytes) Lane low[kLanes<T>], high[kLanes<T>];

  constexpr Exchange() : low{}, high{} {
    for (int lane = 0; lane < kLanes<T>; ++lane) {
      low[lane] = (lane & kHalf) ? kLanes<T> + lane - kHalf : lane;
      high[lane] = (lane & kHalf) ? kLanes<T> + lane : lane + kHalf;
    }
  }
};
template <class T, int kHalf>
constexpr Exchange<T, kHalf> kExchange{};

// a and b after a round: a keeps the lanes where bit kHalf of their number is 0, b those where it is 1, and they exchange the others.
template <class T, int kHalf>
EINKORN_INLINE Vec<T> low_halves(Vec<T> a, Vec<T> b) {
  IntVec<T> index;
  memcpy(&index, kExchange<T, kHalf>.low, sizeof index);
  return permute2<T>(a, b, index);
}
template <class T, int kHalf>
EINKORN_INLINE Vec<T> high_halves(Vec<T> a, Vec<T> b) {
  IntVec<T> index;
  memcpy(&index, kExchange<T, kHalf>.high, sizeof index);
  return permute2<T>(a, b, index);
}

// v[i] lane j becomes v[j] lane i. log2(lanes) rounds; each exchanges the off-diagonal halves of blocks twice as large.
template <class T, int kHalf = 1>
EINKORN_INLINE void transpose_square(Vec<T> (&v)[kLanes<T>]) {
  EINKORN_UNROLL for (int i = 0; i < kLanes<T>; ++i) {
    if (i & kHalf) continue;
    const Vec<T> a = v[i], b = v[i + kHalf];
    v[i] = low_halves<T, kHalf>(a, b);
    v[i + kHalf] = high_halves<T, kHalf>(a, b);
  }
  if constexpr (2 * kHalf < kLanes<T>) transpose_square<T, 2 * kHalf>(v);
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
