// Products of matrices of narrow numbers: both operands are packed into panels of lanes, and the register tile of gemm_tile.h
// runs over those with a Product of its own.
//
//   a matrix, k to the right:   a0 a1 a2 a3 ...        its panel, a lane of kGroup = 2 each:   (a0 a1) (b0 b1) (c0 c1) ...
//                               b0 b1 b2 b3 ...                                                (a2 a3) (b2 b3) (c2 c3) ...
//                               c0 c1 c2 c3 ...
//
// A Product says how lanes are multiplied, and its Readers A and B how they are made:
//
//   Packed, Sum, kGroup                the types of a lane and of its sum; how many elements of k lie in a lane
//   add(sum, a, b)                     what a step does
//   along(p, n)                        of a Reader: n elements that follow each other along k, as lanes
//   across(p, k_step, depth, lanes)    `depth` (at most kGroup) elements of k for each of `lanes` neighbours; where kAcross, that
//                                      operands may lie so, is true
//
// K is not cut: sums stay in registers for kTileDepth lanes, and their totals beside the tile. A slice of B that is deeper than the
// L2 cache has room for is narrower instead.

#pragma once

#include "kernels/gemm_cuts.h"
#include "kernels/packed_operands.h"
#include "runtime/parallel.h"
#include "simd/transpose.h"

namespace einkorn {

inline namespace EINKORN_ISA {

constexpr int64_t kTileDepth = 1024, kSliceLanes = 1280 * 128;

namespace packed {

// panel[g * step + lane] = the lanes from p on, `lane_step` apart. Writes whole vectors, later ones over the excess of earlier
// ones: room for a vector past the end.
template <class Product, class Reader, class In, class T = typename Product::Packed>
inline void pack_panel(T* panel, int64_t lanes, int64_t step, int64_t k_size, const In* p, int64_t lane_step,
                       int64_t k_step) {
  constexpr int L = kLanes<T>, G = Product::kGroup;
  const int64_t last = (lanes - 1) / L * L;
  if (k_step == 1) {
    for (int64_t k = 0; k < k_size; k += L * G) {
      const int64_t live = least(L * G, k_size - k), groups = ceil_div(live, G);
      for (int64_t r = last; r >= 0; r -= L) {
        Vec<T> v[L];
        EINKORN_UNROLL for (int i = 0; i < L; ++i) v[i] =
            r + i < lanes ? Reader::along(p + (r + i) * lane_step + k, live) : Vec<T>{};
        transpose_square<T>(v);
        T* const out = panel + k / G * step + r;
        EINKORN_UNROLL for (int i = 0; i < L; ++i) if (i < groups) store(out + i * step, v[i]);
      }
    }
    return;
  }
  if constexpr (Reader::kAcross)
    for (int64_t k = 0; k < k_size; k += G)
      for (int64_t r = last; r >= 0; r -= L)
        store(panel + k / G * step + r,
              Reader::across(p + k * k_step + r, k_step, least(G, k_size - k), least(L, lanes - r)));
}

// A slice of B, [panel][g][kTileColumns], a panel of `groups` at least as many as K has; zeros past the last column of a vector.
template <class Product, class In, class T = typename Product::Packed>
inline void pack_slice(T* slice, int64_t columns, int64_t k_size, int64_t groups, const In* b, int64_t k_step,
                       int64_t column_step) {
  using Reader = typename Product::B;
  constexpr int L = kLanes<T>, C = kTileColumns<T>, G = Product::kGroup;
  if constexpr (Reader::kAcross)
    if (column_step == 1 && k_step != 1) {  // whole rows, so that the hardware sees long runs
      for (int64_t k = 0; k < k_size; k += G) {
        const In* const row = b + k * k_step;
        const int64_t depth = least(G, k_size - k);
        for (int64_t j = 0; j < columns; j += L)
          store(slice + (j / C * groups + k / G) * C + j % C,
                Reader::across(row + j, k_step, depth, least(L, columns - j)));
      }
      return;
    }
  for (int64_t j = 0; j < columns; j += C)
    pack_panel<Product, Reader>(slice + j * groups, least(C, columns - j), C, k_size, b + j * column_step, column_step,
                                k_step);
}

// out[c] = the dot product of a and the c-th of at most kColumns columns, `step` apart; all run along k. Eight sums in all.
constexpr int kDotColumns = 4;

template <class Product, int kColumns = kDotColumns, class In>
EINKORN_INLINE void dots(typename Product::Sum* out, const In* a, const In* b, int64_t step, int64_t columns,
                         int64_t depth) {
  using S = typename Product::Sum;
  constexpr int64_t kStep = kLanes<S> * Product::kGroup;
  constexpr int kSums = 8 / kColumns;
  const In* column[kColumns];
  for (int q = 0; q < kColumns; ++q) column[q] = b + least(q, columns - 1) * step;
  Vec<S> sum[kSums][kColumns] = {};
  int64_t k = 0;
  for (; k + kSums * kStep <= depth; k += kSums * kStep) EINKORN_UNROLL for (int s = 0; s < kSums; ++s) {
      if constexpr (kColumns == 1) ask_two_pages_ahead(column[0] + k + s * kStep);
      const auto part = Product::A::along(a + k + s * kStep, kStep);
      EINKORN_UNROLL for (int q = 0; q < kColumns; ++q) sum[s][q] =
          Product::add(sum[s][q], part, Product::B::along(column[q] + k + s * kStep, kStep));
    }
  for (; k < depth; k += kStep) {
    const int64_t live = least(kStep, depth - k);
    if constexpr (kColumns == 1) ask_two_pages_ahead(column[0] + k);
    const auto part = Product::A::along(a + k, live);
    EINKORN_UNROLL for (int q = 0; q < kColumns; ++q) sum[0][q] =
        Product::add(sum[0][q], part, Product::B::along(column[q] + k, live));
  }
  EINKORN_UNROLL for (int half = kSums / 2; half > 0; half /= 2) EINKORN_UNROLL for (int s = 0; s < half; ++s)
      EINKORN_UNROLL for (int q = 0; q < kColumns; ++q) sum[s][q] += sum[s + half][q];
  for (int q = 0; q < kColumns && q < columns; ++q) out[q] = sum_lanes<S>(sum[0][q]);
}

template <class Product, int kRows, int kVectors>
void tile(int64_t depth, const typename Product::Packed* a, int64_t a_step, const typename Product::Packed* b,
          typename Product::Sum* sums) {
  using S = typename Product::Sum;
  product_tile<Product, kRows, kVectors, APanel::by_columns>(
      depth, a, a_step, b, kTileColumns<S>, [&](int r, int v, Vec<S> sum) __attribute__((always_inline)) {
        store(sums + r * kTileColumns<S> + v * kLanes<S>, sum);
      });
}

}  // namespace packed

// How panels lie and are multiplied: by vectors, as gemm_tile.h does. (By tiles of the processor: gemm_tiles.h.)
template <class Product>
class ByVectors {
 public:
  using T = typename Product::Packed;
  using S = typename Product::Sum;
  static constexpr int64_t kRows = kTileRows;  // of a panel of A

  static int64_t groups_of(int64_t k) { return ceil_div(k, Product::kGroup); }
  static int64_t panel_size(int64_t groups) { return groups * kRows + kLanes<T>; }

  template <class In>
  static void pack_a(T* panel, int64_t rows, int64_t k, const In* a, int64_t a_m, int64_t a_k) {
    packed::pack_panel<Product, typename Product::A>(panel, rows, rows, k, a, a_m, a_k);
  }
  template <class In>
  static void pack_b(T* slice, int64_t columns, int64_t k, const In* b, int64_t b_k, int64_t b_n) {
    packed::pack_slice<Product>(slice, columns, k, groups_of(k), b, b_k, b_n);
  }

  // The panel of A that the next products are with.
  void take(const T* panel, int64_t rows) {
    panel_ = panel, rows_ = rows;
    with_rows(static_cast<int>(rows), [&]<int kRows>() {
      wide_ = &packed::tile<Product, kRows, 2>, narrow_ = &packed::tile<Product, kRows, 1>;
    });
  }
  // sums[row][kTileColumns] of `depth` groups, from group g on; b is where those of the panel of B lie.
  void multiply(int64_t g, int64_t depth, const T* b, int64_t columns, S* sums) const {
    (columns > kLanes<T> ? wide_ : narrow_)(depth, panel_ + g * rows_, rows_, b, sums);
  }

 private:
  using Tile = void (*)(int64_t, const T*, int64_t, const T*, S*);
  const T* panel_ = nullptr;
  int64_t rows_ = 0;
  Tile wide_ = nullptr, narrow_ = nullptr;
};

// One product or, with `entry_of`, a stack of them. finish(entry, sums, rows, columns, i, j) takes each tile, its sums kTileColumns
// apart, to row i and column j; finish.prefetch(entry, rows, i, j) comes before it. `cost` is nanoseconds a multiply-add.
template <class Product, class Form = ByVectors<Product>, class In, class EntryOf, class Finish>
void packed_products(const Workspace& ws, const PackedParts& parts, int64_t entries, const PackedOperands<In>& sizes,
                     const EntryOf& entry_of, double cost, const Finish& finish) {
  using T = typename Product::Packed;
  using S = typename Product::Sum;
  constexpr int64_t C = kTileColumns<T>, R = Form::kRows;
  const int64_t m = sizes.m, n = sizes.n, k = sizes.k, groups = Form::groups_of(k);
  const int64_t deep = kSliceLanes / (groups + 1) / C * C;
  const bool all = sizes.packs_all_of_a();
  // Where each task packs the panels of A anew, few tasks share them.
  const TaskCuts cuts(m, n, C, deep < C ? C : least(deep, kMostPackedColumns), all ? 8 : 1, R);
  const int64_t panels = ceil_div(m, R), panel_size = Form::panel_size(groups);
  T* const a_packed = reinterpret_cast<T*>(parts.a_packed);
  const auto pack_a = [&](T* panel, const PackedOperands<In>& x, int64_t row) {
    Form::pack_a(panel, least(R, m - row), k, x.a + row * x.a_m, x.a_m, x.a_k);
  };

  const auto run = [&](int64_t entry, int64_t task, int slot) {
    const PackedOperands<In> x = entry_of(entry);
    const int64_t j_begin = task % cuts.column_blocks * cuts.columns, j_end = least(n, j_begin + cuts.columns);
    const int64_t i_begin = task / cuts.column_blocks * cuts.rows, i_end = least(m, i_begin + cuts.rows);
    T* const slice = reinterpret_cast<T*>(parts.slices[slot]);
    Form::pack_b(slice, j_end - j_begin, k, x.b + j_begin * x.b_n, x.b_k, x.b_n);
    alignas(64) S sums[R * C] = {}, part[R * C] = {};
    Form form;
    for (int64_t i = i_begin; i < i_end; i += R) {
      const int64_t rows = least(R, i_end - i);
      T* panel = a_packed + i / R * panel_size;
      if (!all) pack_a(panel = reinterpret_cast<T*>(parts.panels[slot]), x, i);
      form.take(panel, rows);
      for (int64_t j = j_begin; j < j_end; j += C) {
        const int64_t columns = least(C, j_end - j);
        const T* const b = slice + (j - j_begin) * groups;
        finish.prefetch(entry, rows, i, j);
        form.multiply(0, least(kTileDepth, groups), b, columns, sums);
        for (int64_t g = kTileDepth; g < groups; g += kTileDepth) {
          form.multiply(g, least(kTileDepth, groups - g), b + g * C, columns, part);
          for (int64_t s = 0; s < rows * C; s += kLanes<S>) store(sums + s, load(sums + s) + load(part + s));
        }
        finish(entry, sums, rows, columns, i, j);
      }
    }
  };

  const int64_t tasks = cuts.row_blocks * cuts.column_blocks;
  const double task_cost =
      cost * static_cast<double>(k) * static_cast<double>(least(cuts.rows, m) * least(cuts.columns, n));
  if (!all) {
    parallel_for(ws, entries * tasks, task_cost, [&](int64_t t, int slot) { run(t / tasks, t % tasks, slot); });
    return;
  }
  for (int64_t entry = 0; entry < entries; ++entry) {
    const PackedOperands<In> x = entry_of(entry);
    parallel_for(ws, panels, 0.1 * static_cast<double>(R * k),
                 [&](int64_t p, int) { pack_a(a_packed + p * panel_size, x, p * R); });
    parallel_for(ws, tasks, task_cost, [&](int64_t task, int slot) { run(entry, task, slot); });
  }
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
