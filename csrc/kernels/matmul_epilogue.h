// What happens to the sums of a matrix product before they are stored: out = act(alpha * sum + beta * out + bias).
//
// Args is the product's argument struct (matmul.h, matmul_bf16.h). Args::Place says where an element lies: a pointer, or
// something that load_n and store_n, one and ask_for take as they take pointers.

#pragma once

#include "kernels/gemm_cuts.h"
#include "simd/activate.h"
#include "simd/transpose.h"

namespace einkorn {
inline namespace EINKORN_ISA {

template <class T>
EINKORN_INLINE T one(const T* p) {
  return *p;
}
template <class T>
EINKORN_INLINE void ask_for(const T* p) {
  __builtin_prefetch(p, 1);
}

// Where the sums of one depth block go. `first` and `last` say which end of K this block is.
template <class Args>
struct Epilogue {
  using T = typename Args::Sum;
  using Place = typename Args::Place;
  const Args& x;
  Place out;
  bool first, last;

  // `live` neighbours in memory at p; `bias` is what the last block adds to them.
  EINKORN_INLINE void put(Place p, int64_t live, Vec<T> sum, Vec<T> bias) const {
    Vec<T> v = sum * x.alpha;
    if (!first)
      v += load_n(p, live);
    else if (x.beta != 0)
      v += load_n(p, live) * x.beta;
    store_n(p, live, last ? activate(v + bias, x.activation) : v);
  }

  // Part of row i, from column j on; out_n is 1.
  EINKORN_INLINE void to_row(int64_t i, int64_t j, int64_t live, Vec<T> sum) const {
    put(out + i * x.out_m + j, live, sum, bias_of(i, j, live, x.bias_on_rows));
  }

  // Part of column j, from row i on; out_m is 1.
  EINKORN_INLINE void to_column(int64_t i, int64_t j, int64_t live, Vec<T> sum) const {
    put(out + j * x.out_n + i, live, sum, bias_of(j, i, live, !x.bias_on_rows));
  }

  EINKORN_INLINE Vec<T> bias_of(int64_t across, int64_t along, int64_t live, bool one_for_all) const {
    if (!x.bias) return Vec<T>{};
    return one_for_all ? broadcast(one(x.bias + across)) : load_n(x.bias + along, live);
  }

  // Whether the sums are what out gets.
  bool is_plain() const {
    const bool unfinished = !last || (!x.bias && x.activation == Activation::none);
    return x.out_n == 1 && first && x.alpha == 1 && x.beta == 0 && unfinished;
  }

  // What a layer does with a whole tile: all rows get the same bias. (Looking bias and activation up vector by vector took a
  // tenth of the time of 768x128 times 128x512.)
  template <Activation kActivation>
  EINKORN_INLINE void add_row(const T* sums, int64_t rows, int64_t i, int64_t j) const {
    constexpr int L = kLanes<T>, C = kTileColumns<T>;
    Vec<T> bias[kTileVectors];
    EINKORN_UNROLL for (int v = 0; v < kTileVectors; ++v) bias[v] = bias_of(i, j + v * L, L, false);
    for (int64_t r = 0; r < rows; ++r)
      EINKORN_UNROLL for (int v = 0; v < kTileVectors; ++v) store_n(
          out + (i + r) * x.out_m + j + v * L, int64_t{L}, activate(load(sums + r * C + v * L) + bias[v], kActivation));
  }

  // Asks for the tile's lines of out early: they are cold, and the loop over k is long enough to hide that.
  EINKORN_INLINE void prefetch(int64_t rows, int64_t i, int64_t j) const {
    if (x.out_n != 1) return;
    for (int64_t r = 0; r < rows; ++r) {
      const Place p = out + (i + r) * x.out_m + j;
      ask_for(p);
      ask_for(p + kLanes<T>);
    }
  }

  // A tile of sums, kTileColumns apart, at row i and column j of the product.
  __attribute__((noinline)) void operator()(const T* sums, int64_t rows, int64_t columns, int64_t i, int64_t j) const {
    constexpr int L = kLanes<T>, C = kTileColumns<T>;
    if (x.out_n == 1) {
      const bool adds_a_row = first && last && x.alpha == 1 && x.beta == 0 && columns == C && !x.bias_on_rows;
      if (adds_a_row && x.activation == Activation::none) return add_row<Activation::none>(sums, rows, i, j);
      if (adds_a_row && x.activation == Activation::relu) return add_row<Activation::relu>(sums, rows, i, j);
      for (int64_t r = 0; r < rows; ++r)
        for_vectors<T>(columns, [&](int64_t c, int64_t live) { to_row(i + r, j + c, live, load(sums + r * C + c)); });
      return;
    }
    alignas(64) T down[L * L];  // a square of the tile, its columns as rows
    for (int64_t r = 0; r < rows; r += L)
      for (int64_t c = 0; c < columns; c += L) {
        const int64_t live = least(rows - r, L);
        transpose_block(down, L, sums + r * C + c, C, live, L);
        for (int64_t q = 0; q < least(columns - c, L); ++q) to_column(i + r, j + c + q, live, load(down + q * L));
      }
  }
};

}  // namespace EINKORN_ISA
}  // namespace einkorn
