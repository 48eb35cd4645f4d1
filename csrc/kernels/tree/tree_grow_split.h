// The best split of one feature of one node, from its histogram.
//
// Sums up to each bin are kept for a chunk of bins, exact; then the gains of as many bins as a vector has lanes are had at
// once, with one division each:
//
//     GL^2 / a + GR^2 / b = (GL^2 b + GR^2 a) / (a b),   a = HL + l2,  b = HR + l2
//
// Bins with missing values on the right are looked at first, then those with missing values on the left. Monotone signs
// and bounds on values need the leaf values themselves: then bins are taken one by one.

#pragma once

#include "kernels/tree/tree_grow_histogram.h"
#include "simd/math.h"

namespace einkorn {
inline namespace EINKORN_ISA {

constexpr int64_t kChunk = 256;

// The best place so far of one direction of missing values, and what a better score must exceed.
struct BestBin {
  double score = kNoSplit;
  int64_t bin = -1;
  double bar = kNoSplit;
};

// Sums up to each bin of a chunk. Lanes past the last bin have no rows, so that they do not count.
struct ChunkSums {
  int64_t g[kChunk], h[kChunk], n[kChunk];
  int64_t g_low[kChunk], h_low[kChunk];  // if wide
};

EINKORN_INLINE Vec<double> sum_of(IntVec<double> high, IntVec<double> low, double unit) {
  using V = Vec<double>;
  const V parts = __builtin_convertvector(high, V) * (1 / kLowUnit) + __builtin_convertvector(low, V);
  return parts * (unit * kLowUnit);
}

template <bool kShrunk, bool kWide>
EINKORN_INLINE void best_of_chunk(BestBin& best, const ChunkSums& sums, int64_t count, int64_t first,
                                  const NodeSums& missing, const NodeSums& all, double parent, const Scoring& s) {
  using V = Vec<double>;
  using I = IntVec<double>;
  const V g_unit = broadcast(s.g_unit), h_unit = broadcast(s.h_unit), alpha = broadcast(s.alpha);
  V top = broadcast(best.score), bar = broadcast(best.bar);
  // Scores are not negative here, so score + tie_of(score, parent) is this, at gains above 0.
  const V grow = broadcast(1 + kTie + kRounding), shift = broadcast((kRounding - kTie) * parent);
  I where = {};
  where += best.bin;
  I at = {};
  EINKORN_UNROLL for (int i = 0; i < kLanes<double>; ++i) at[i] = first + i;
  for (int64_t i = 0; i < count; i += kLanes<double>, at += kLanes<double>) {
    I left_g, left_h, left_n;
    memcpy(&left_g, sums.g + i, sizeof left_g);
    memcpy(&left_h, sums.h + i, sizeof left_h);
    memcpy(&left_n, sums.n + i, sizeof left_n);
    left_g += missing.g;
    left_h += missing.h;
    left_n += missing.n;
    V gl, gr, hl, hr;
    if constexpr (kWide) {
      I low_g, low_h;
      memcpy(&low_g, sums.g_low + i, sizeof low_g);
      memcpy(&low_h, sums.h_low + i, sizeof low_h);
      low_g += missing.g_low;
      low_h += missing.h_low;
      gl = sum_of(left_g, low_g, s.g_unit);
      gr = sum_of(all.g - left_g, all.g_low - low_g, s.g_unit);
      hl = sum_of(left_h, low_h, s.h_unit);
      hr = sum_of(all.h - left_h, all.h_low - low_h, s.h_unit);
    } else {
      gl = __builtin_convertvector(left_g, V) * g_unit;
      gr = __builtin_convertvector(all.g - left_g, V) * g_unit;
      hl = __builtin_convertvector(left_h, V) * h_unit;
      hr = __builtin_convertvector(all.h - left_h, V) * h_unit;
    }
    if (kShrunk) {
      const V zero = {};
      gl = maximum(absolute(gl) - alpha, zero);
      gr = maximum(absolute(gr) - alpha, zero);
    }
    const V a = hl + s.l2, b = hr + s.l2;
    const V score = (gl * gl * b + gr * gr * a) / (a * b);
    const I counts = (left_n >= s.min_samples) & (all.n - left_n >= s.min_samples) & (hl >= s.min_weight) &
                     (hr >= s.min_weight) & (a > 0) & (b > 0);
    const I better = counts & (score > bar);
    top = better ? score : top;
    bar = better ? score * grow + shift : bar;
    where = better ? at : where;
  }
  const double most = max_lanes<double>(top);
  if (most == kNoSplit) return;
  const double enough = most - tie_of(most, parent);
  best.bin = -1;
  for (int i = 0; i < kLanes<double>; ++i)
    if (top[i] >= enough && (best.bin < 0 || where[i] < best.bin)) best = {top[i], where[i], 0};
  best.bar = best.score + tie_of(best.score, parent);
}

EINKORN_INLINE void best_by_value(BestBin& best, const ChunkSums& sums, int64_t count, int64_t first,
                                  const NodeSums& missing, const NodeSums& all, int sign, double parent,
                                  const Scoring& s, Bounds bounds, bool wide) {
  for (int64_t i = 0; i < count; ++i) {
    const NodeSums run = {sums.g[i], sums.h[i], sums.n[i], wide ? sums.g_low[i] : 0, wide ? sums.h_low[i] : 0};
    const NodeSums left = plus(run, missing);
    const double score = children_score(left, minus(all, left), s.l2, sign, s, bounds);
    if (score > best.bar) best = {score, first + i, score + tie_of(score, parent)};
  }
}

// `hist` begins at the feature's first bin, which is followed by bins - 1 others and that of missing values.
inline void search_numeric(Candidate& best, const Hist& hist, int32_t feature, int64_t bins, const NodeSums& all,
                           int sign, double parent, const Scoring& s, Bounds bounds) {
  const NodeSums missing = sums_of_bin(hist, bins), none = {};
  const int64_t limit = missing.n > 0 ? bins : bins - 1;  // all values left, missing ones right, is a split too
  const bool wide = hist.g_low != nullptr;
  BestBin right, left;
  NodeSums run = none;
  ChunkSums sums;
  for (int64_t first = 0; first < limit; first += kChunk) {
    const int64_t count = limit - first < kChunk ? limit - first : kChunk;
    for (int64_t i = 0; i < count; ++i) {
      run.n += hist.n[first + i];
      sums.n[i] = run.n;
    }
    for (int64_t i = 0; i < count; ++i) {
      run.g += hist.g[first + i];
      sums.g[i] = run.g;
    }
    if (hist.h != nullptr)
      for (int64_t i = 0; i < count; ++i) {
        run.h += hist.h[first + i];
        sums.h[i] = run.h;
      }
    else
      memcpy(sums.h, sums.n, static_cast<size_t>(count) * 8);
    for (int64_t i = 0; wide && i < count; ++i) {
      sums.g_low[i] = run.g_low += hist.g_low[first + i];
      sums.h_low[i] = run.h_low += hist.h_low[first + i];
    }
    if (s.by_value) {
      best_by_value(right, sums, count, first, none, all, sign, parent, s, bounds, wide);
      if (missing.n > 0) best_by_value(left, sums, count, first, missing, all, sign, parent, s, bounds, wide);
      continue;
    }
    constexpr int64_t lanes = kLanes<double>;
    for (int64_t i = count; i < (count + lanes - 1) / lanes * lanes; ++i) {
      sums.g[i] = sums.h[i] = sums.g_low[i] = sums.h_low[i] = 0;
      sums.n[i] = -missing.n - 1;
    }
    const auto look = [&](BestBin& best_bin, const NodeSums& moved) __attribute__((always_inline)) {
      if (wide)
        s.alpha > 0 ? best_of_chunk<true, true>(best_bin, sums, count, first, moved, all, parent, s)
                    : best_of_chunk<false, true>(best_bin, sums, count, first, moved, all, parent, s);
      else
        s.alpha > 0 ? best_of_chunk<true, false>(best_bin, sums, count, first, moved, all, parent, s)
                    : best_of_chunk<false, false>(best_bin, sums, count, first, moved, all, parent, s);
    };
    look(right, none);
    if (missing.n > 0) look(left, missing);
  }
  const bool missing_left = left.score > right.bar;
  const BestBin& found = missing_left ? left : right;
  if (found.bin < 0) return;
  NodeSums sum = missing_left ? missing : none;
  Candidate split = {0, sum, feature, static_cast<int32_t>(found.bin), static_cast<uint8_t>(missing_left), 0};
  if (found.score - parent <= best.gain) return;
  for (int64_t i = 0; i <= found.bin; ++i) sum = plus(sum, sums_of_bin(hist, i));
  split.left = sum;
  if (missing.n == 0) split.missing_left = sum.n > all.n - sum.n;
  keep(best, found.score, parent, s, split);
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
