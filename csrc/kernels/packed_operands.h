// The operands of a product of matrices of narrow numbers, and the scratch for their panels (gemm_packed.h).

#pragma once

#include <stdint.h>

#include "runtime/carver.h"

namespace einkorn {

// What lies where: one matrix of a stack. Steps in elements; a and b each have a step of 1 along one of their dimensions.
template <class In>
struct PackedOperands {
  const In* a;
  const In* b;
  int64_t m, n, k;
  int64_t a_m, a_k, b_k, b_n;

  // Whether all of A is packed once, before the tasks: worth it where many columns pass by. Elsewhere a panel at a time.
  bool packs_all_of_a() const { return n >= 192 && m * n * k > (int64_t{1} << 21); }
};

constexpr int64_t kMostPackedColumns = 128, kPackedSlack = 64, kMostPanelRows = 32, kLeastPanelRows = 6;
// Lanes along k that a panel may have beyond those of K itself: up to the end of a tile.
constexpr int64_t kDepthSlack = 16;

inline namespace EINKORN_ISA {

inline int64_t halved(int64_t n) {
  return (n + 1) / 2;
}

// Scratch, for lanes of at most four bytes of which each holds at least one element of k.
struct PackedParts {
  PartOfEach<int32_t> slices;  // of B, of threads
  PartOfEach<int32_t> panels;  // of A, of threads
  int32_t* a_packed;

  template <class In>
  PackedParts(Carver& c, const PackedOperands<In>& x, int threads) {
    const int64_t columns = x.n + kPackedSlack < kMostPackedColumns ? x.n + kPackedSlack : kMostPackedColumns;
    const int64_t depth = x.k + kDepthSlack;
    slices = c.take_each<int32_t>(threads, depth * columns + kPackedSlack);
    const bool all = x.packs_all_of_a();
    panels = c.take_each<int32_t>(all ? 0 : threads, depth * kMostPanelRows + kPackedSlack);
    a_packed = c.take<int32_t>(all ? (x.m + kPackedSlack) * depth + (x.m / kLeastPanelRows + 1) * kPackedSlack : 0);
  }
};

}  // namespace EINKORN_ISA
}  // namespace einkorn
