// Gradients and hessians as whole numbers, so that sums of them are exact in any order.
//
//     range of all of them, in blocks -> a power of two that brings the largest below 2^30 -> pairs, and their sums
//
// Where hessians are too far apart for one number each, a second one keeps what the first left over (tree_grow_histogram.h).

#pragma once

#include "kernels/tree/tree_grow_split.h"
#include "simd/simd.h"

namespace einkorn {
inline namespace EINKORN_ISA {

template <class T>
struct Range {
  T low, high, least;
};

// Smallest and largest of x [n], or of x[rows[i]]; both NaN where one is not finite. And the smallest above 0.
template <class T>
EINKORN_INLINE Range<T> range_of(const T* x, const int32_t* rows, int64_t n) {
  const Vec<T> none = broadcast(static_cast<T>(__builtin_inf()));
  Vec<T> low = broadcast(x[rows != nullptr ? rows[0] : 0]), high = low, bad = {}, least = none;
  const auto take = [&](Vec<T> v) __attribute__((always_inline)) {
    low = minimum(v, low);
    high = maximum(v, high);
    least = minimum(v > 0 ? v : none, least);
    bad += v - v;  // NaN for what is not finite
  };
  int64_t i = 0;
  if (rows == nullptr)
    for (; i + kLanes<T> <= n; i += kLanes<T>) take(load(x + i));
  for (; i < n; ++i) take(broadcast(x[rows != nullptr ? rows[i] : i]));
  const T off = sum_lanes<T>(bad);
  return {-max_lanes<T>(-low) + off, max_lanes<T>(high) + off, -max_lanes<T>(-least)};
}

// Writes pairs and the sums over all rows; 0, or what *nodes is to be.
template <class T, SumKind kKind>
int quantise(const TreeGrow<T>& k, const GrowPlan& p, NodeSums& all, Scoring& s) {
  constexpr bool kConstant = kKind == SumKind::ones;
  const int64_t blocks = (k.row_count + kGrowBlock - 1) / kGrowBlock;
  double* const extremes = p.extremes;
  const auto rows_of = [&](int64_t block, int64_t& begin, int64_t& end) __attribute__((always_inline)) {
    begin = block * kGrowBlock;
    end = begin + kGrowBlock < k.row_count ? begin + kGrowBlock : k.row_count;
  };
  parallel_for(k.ws, blocks, static_cast<double>(k.row_count / blocks) * 0.4, [&](int64_t block, int) {
    int64_t begin, end;
    rows_of(block, begin, end);
    const int64_t first = k.rows != nullptr ? 0 : begin;
    const int32_t* const rows = k.rows != nullptr ? k.rows + begin : nullptr;
    const Range<T> g = range_of(k.gradients + first, rows, end - begin);
    extremes[4 * block] = g.high > -g.low ? g.high : -g.low;
    if (kConstant) return;
    const Range<T> h = range_of(k.hessians + first, rows, end - begin);
    extremes[4 * block + 1] = h.low >= 0 ? h.high : -1;
    extremes[4 * block + 2] = h.least;
  });
  if (const int bad = choose_units(extremes, blocks, kKind, s); bad != 0) return bad;
  const double g_scale = 1 / s.g_unit, h_scale = 1 / s.h_unit;

  using Pair = typename PairOf<kKind>::type;
  Pair* const pairs = reinterpret_cast<Pair*>(p.pairs);
  int64_t* const sums = reinterpret_cast<int64_t*>(extremes);
  parallel_for(k.ws, blocks, static_cast<double>(k.row_count / blocks) * 0.6, [&](int64_t block, int) {
    int64_t begin, end, g = 0, h = 0, g_low = 0, h_low = 0;
    rows_of(block, begin, end);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t r = k.rows != nullptr ? k.rows[i] : i;
      const int32_t here = quantised(k.gradients[r], g_scale);
      g += here;
      if constexpr (kConstant) {
        pairs[r] = here;
      } else {
        pairs[r].g = here;
        pairs[r].h = quantised(k.hessians[r], h_scale);
        h += pairs[r].h;
      }
      if constexpr (kKind == SumKind::wide) {
        pairs[r].g_low = low_part(k.gradients[r], g_scale, pairs[r].g);
        pairs[r].h_low = low_part(k.hessians[r], h_scale, pairs[r].h);
        g_low += pairs[r].g_low;
        h_low += pairs[r].h_low;
      }
    }
    int64_t* const sum = sums + 4 * block;
    sum[0] = g;
    sum[1] = h;
    sum[2] = g_low;
    sum[3] = h_low;
  });
  all = {0, 0, k.row_count, 0, 0};
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t* const sum = sums + 4 * block;
    all = plus(all, {sum[0], kConstant ? 0 : sum[1], 0, sum[2], sum[3]});
  }
  if (kConstant) all.h = k.row_count;
  return 0;
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
