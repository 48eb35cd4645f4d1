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

// Gains below this share of the scores they are the difference of are rounding errors. Gains that differ by no more than
// this, or by kTie of themselves, which is what gradients in float32 leave of equal ones, are equal: the first wins.
constexpr double kRounding = 1e-13;
constexpr double kTie = 1e-6;
constexpr double kLowUnit = 0x1p-30;  // of the low parts

// What a split is judged by.
struct Scoring {
  double g_unit, h_unit;  // of the sums
  double alpha, l2, min_weight, step, min_gain;
  double cat_smooth, cat_l2;
  int64_t min_samples, max_categories, onehot;
  bool by_value;  // monotone signs or a step bound: gains are of leaf values
};

// Both parts of a sum are added in double: the high one is a whole number below 2^53 there, so one rounding is made.
EINKORN_INLINE double sum_of(int64_t high, int64_t low, double unit) {
  return (static_cast<double>(high) / kLowUnit + static_cast<double>(low)) * (unit * kLowUnit);
}

EINKORN_INLINE double g_of(const NodeSums& sums, const Scoring& s) {
  return sum_of(sums.g, sums.g_low, s.g_unit);
}

EINKORN_INLINE double h_of(const NodeSums& sums, const Scoring& s) {
  return sum_of(sums.h, sums.h_low, s.h_unit);
}

struct Bounds {
  double lower, upper;
};

constexpr int64_t kChunk = 256;
constexpr double kNoSplit = -__builtin_inf();  // scores of bounded values may be negative

EINKORN_INLINE double shrink(double g, double alpha) {
  const double size = __builtin_fabs(g) - alpha;
  return size > 0 ? __builtin_copysign(size, g) : 0;
}

EINKORN_INLINE double leaf_weight(double g, double h, double l2, const Scoring& s, Bounds bounds) {
  double w = h + l2 > 0 ? -shrink(g, s.alpha) / (h + l2) : 0;
  if (s.step > 0) w = w > s.step ? s.step : (w < -s.step ? -s.step : w);
  return w > bounds.upper ? bounds.upper : (w < bounds.lower ? bounds.lower : w);
}

EINKORN_INLINE double value_score(double g, double h, double l2, double w, const Scoring& s) {
  return -(2 * g * w + (h + l2) * w * w + 2 * s.alpha * __builtin_fabs(w));
}

EINKORN_INLINE double node_score(const NodeSums& sums, double l2, const Scoring& s, Bounds bounds) {
  const double g = g_of(sums, s), h = h_of(sums, s);
  if (s.by_value) return value_score(g, h, l2, leaf_weight(g, h, l2, s, bounds), s);
  const double top = shrink(g, s.alpha);
  return h + l2 > 0 ? top * top / (h + l2) : 0;
}

EINKORN_INLINE NodeSums minus(const NodeSums& a, const NodeSums& b) {
  return {a.g - b.g, a.h - b.h, a.n - b.n, a.g_low - b.g_low, a.h_low - b.h_low};
}

EINKORN_INLINE NodeSums plus(const NodeSums& a, const NodeSums& b) {
  return {a.g + b.g, a.h + b.h, a.n + b.n, a.g_low + b.g_low, a.h_low + b.h_low};
}

// By how much a score must exceed this one to count as better.
EINKORN_INLINE double tie_of(double score, double parent) {
  return kTie * __builtin_fabs(score - parent) + kRounding * (__builtin_fabs(score) + __builtin_fabs(parent));
}

// Score of both children, minus infinity where the split does not count.
EINKORN_INLINE double children_score(const NodeSums& left, const NodeSums& right, double l2, int sign, const Scoring& s,
                                     Bounds bounds) {
  if (left.n < s.min_samples || right.n < s.min_samples) return kNoSplit;
  const double hl = h_of(left, s), hr = h_of(right, s);
  if (hl < s.min_weight || hr < s.min_weight || !(hl + l2 > 0) || !(hr + l2 > 0)) return kNoSplit;
  const double gl = g_of(left, s), gr = g_of(right, s);
  if (s.by_value) {
    const double wl = leaf_weight(gl, hl, l2, s, bounds), wr = leaf_weight(gr, hr, l2, s, bounds);
    if (sign > 0 ? wl > wr : (sign < 0 && wl < wr)) return kNoSplit;
    return value_score(gl, hl, l2, wl, s) + value_score(gr, hr, l2, wr, s);
  }
  const double a = hl + l2, b = hr + l2, tl = shrink(gl, s.alpha), tr = shrink(gr, s.alpha);
  return (tl * tl * b + tr * tr * a) / (a * b);
}

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

EINKORN_INLINE NodeSums sums_of_bin(const Hist& hist, int64_t i) {
  return {hist.g[i], hist.h != nullptr ? hist.h[i] : hist.n[i], hist.n[i], hist.g_low != nullptr ? hist.g_low[i] : 0,
          hist.h_low != nullptr ? hist.h_low[i] : 0};
}

EINKORN_INLINE void keep(Candidate& best, double score, double parent, const Scoring& s, const Candidate& found) {
  const double gain = score - parent;
  if (!(gain > s.min_gain) || !(gain > kRounding * (__builtin_fabs(score) + __builtin_fabs(parent))) ||
      !(gain > best.gain))
    return;
  best = found;
  best.gain = gain;
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

struct SortedCode {
  double key;
  int64_t code;
};

EINKORN_INLINE void sort_codes(SortedCode* a, int64_t n) {
  int64_t gap = 1;
  while (gap < n / 3) gap = 3 * gap + 1;
  for (; gap > 0; gap /= 3)
    for (int64_t i = gap; i < n; ++i) {
      const SortedCode moved = a[i];
      int64_t j = i;
      for (; j >= gap && (a[j - gap].key > moved.key || (a[j - gap].key == moved.key && a[j - gap].code > moved.code));
           j -= gap)
        a[j] = a[j - gap];
      a[j] = moved;
    }
}

// `set` [words] becomes the codes that go left when the feature has the best split so far.
//
// Codes that are in no row of the node go right, with the codes that are in no set. So the side with most of the rows is the
// right one, unless the node has rows of the last bin, the other categories: these are not in any set and go right, too.
inline void search_categorical(Candidate& best, uint32_t* set, int64_t words, const Hist& hist, int32_t feature,
                               int64_t bins, const NodeSums& all, double parent, const Scoring& s, Bounds bounds,
                               SortedCode* codes) {
  int64_t used = 0;
  for (int64_t c = 0; c + 1 < bins; ++c)
    if (hist.n[c] > 0) codes[used++].code = c;
  double score = kNoSplit, bar = kNoSplit;
  NodeSums left_sums = {};
  int64_t from = 0, to = 0;  // codes[from : to] go left
  if (used <= s.onehot) {
    for (int64_t i = 0; i < used; ++i) {
      const NodeSums left = sums_of_bin(hist, codes[i].code);
      const double here = children_score(left, minus(all, left), s.l2, 0, s, bounds);
      if (here > bar) {
        score = here;
        bar = here + tie_of(here, parent);
        left_sums = left;
        from = i;
        to = i + 1;
      }
    }
  } else {
    for (int64_t i = 0; i < used; ++i) {
      const NodeSums bin = sums_of_bin(hist, codes[i].code);
      const double below = h_of(bin, s) + s.cat_smooth;
      codes[i].key = below > 0 ? g_of(bin, s) / below : 0;
    }
    sort_codes(codes, used);
    const int64_t half = (used + 1) / 2, most = half < s.max_categories ? half : s.max_categories;
    for (int end = 0; end < 2; ++end) {
      NodeSums left = {};
      for (int64_t i = 0; i < most; ++i) {
        left = plus(left, sums_of_bin(hist, codes[end == 0 ? i : used - 1 - i].code));
        const double here = children_score(left, minus(all, left), s.l2 + s.cat_l2, 0, s, bounds);
        if (here > bar) {
          score = here;
          bar = here + tie_of(here, parent);
          left_sums = left;
          from = end == 0 ? 0 : used - 1 - i;
          to = end == 0 ? i + 1 : used;
        }
      }
    }
  }
  if (to == 0) return;
  const double before = best.gain;
  const bool heavy = left_sums.n > all.n - left_sums.n, turned = heavy && hist.n[bins - 1] == 0;
  if (turned) left_sums = minus(all, left_sums);
  // Missing values were on the right; where the node has none, they go to the side with more rows.
  const bool missing_left = hist.n[bins] > 0 ? turned : heavy && !turned;
  keep(best, score, parent, s, {0, left_sums, feature, -1, static_cast<uint8_t>(missing_left), 1});
  if (best.gain == before) return;
  for (int64_t w = 0; w < words; ++w) set[w] = 0;
  for (int64_t i = 0; i < used; ++i)
    if ((i >= from && i < to) != turned) set[codes[i].code / 32] |= uint32_t{1} << (codes[i].code % 32);
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
