// The tiles of rnn_tile.h, each size a function of its own. For the files that compile them (rnn_tile.cpp, rnn_pairs.cpp).

#pragma once

#include "kernels/rnn/rnn_tile.h"

namespace einkorn {
inline namespace EINKORN_ISA {

namespace {

template <class T, int kRows, int kVectors, int kPanelVectors>
__attribute__((noinline)) void tile(int64_t depth, const LaneOf<T>* state, int64_t step, const LaneOf<T>* panel,
                                    Number<T>* sums, const Lines& lines) {
  constexpr int L = kLanes<LaneOf<T>>, C = kPanelVectors * L;
  // Late, so that the panel that streams by does not drive them out again; what there is no time for, before.
  const int64_t begin = depth - lines.count();
  Lines::Walk walk(lines);
  for (int64_t i = begin; i < 0; ++i) walk.ask();
  product_tile<typename StateProduct<T>::type, kRows, kVectors, APanel::by_rows>(
      depth, state, step, panel, C,
      [&](int r, int v, Vec<Number<T>> sum) __attribute__((always_inline)) { store(sums + r * C + v * L, sum); },
      [&](int64_t k) __attribute__((always_inline)) {
        if (k >= begin) walk.ask();
      });
}

template <int kRows, class Fn>
EINKORN_INLINE void with_state_rows(int64_t rows, const Fn& fn) {
  if constexpr (kRows == 1) {
    fn.template operator()<1>();
  } else {
    if (rows == kRows)
      fn.template operator()<kRows>();
    else
      with_state_rows<kRows - 1>(rows, fn);
  }
}

}  // namespace

template <class T, int kVectors>
void state_tile(int64_t rows, int64_t depth, const LaneOf<T>* state, int64_t step, const LaneOf<T>* panel,
                Number<T>* sums, const Lines& lines) {
  constexpr int L = kLanes<LaneOf<T>>;
  constexpr int kAtOnce = kVectorBytes == 64 || kVectors < 2 ? kVectors : 2;
  with_state_rows<kStateRows<kVectors>>(rows, [&]<int kRows>() {
    EINKORN_UNROLL for (int v = 0; v + kAtOnce <= kVectors; v += kAtOnce)
        tile<T, kRows, kAtOnce, kVectors>(depth, state, step, panel + v * L, sums + v * L, lines);
    if constexpr (kVectors % kAtOnce != 0) {
      constexpr int v = kVectors - 1;
      tile<T, kRows, 1, kVectors>(depth, state, step, panel + v * L, sums + v * L, lines);
    }
  });
}

#define EINKORN_STATE_TILE(T, vectors)                                                                            \
  template void state_tile<T, vectors>(int64_t, int64_t, const LaneOf<T>*, int64_t, const LaneOf<T>*, Number<T>*, \
                                       const Lines&);

}  // namespace EINKORN_ISA
}  // namespace einkorn
