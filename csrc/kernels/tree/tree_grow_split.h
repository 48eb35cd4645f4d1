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

// What a split is judged by.
struct Scoring {
  double g_unit, h_unit;  // of the sums
  double alpha, l2, min_weight, step, min_gain;
  double cat_smooth, cat_l2;
  int64_t min_samples, max_categories, onehot;
  bool by_value;  // monotone signs or a step bound: gains are of leaf values
};

struct Bounds {
  double lower, upper;
};

// Gains below this share of the scores they are the difference of are rounding errors.
constexpr double kRounding = 1e-10;
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
  const double g = static_cast<double>(sums.g) * s.g_unit, h = static_cast<double>(sums.h) * s.h_unit;
  if (s.by_value) return value_score(g, h, l2, leaf_weight(g, h, l2, s, bounds), s);
  const double top = shrink(g, s.alpha);
  return h + l2 > 0 ? top * top / (h + l2) : 0;
}

EINKORN_INLINE NodeSums minus(const NodeSums& a, const NodeSums& b) {
  return {a.g - b.g, a.h - b.h, a.n - b.n};
}

// Score of both children, minus infinity where the split does not count.
EINKORN_INLINE double children_score(const NodeSums& left, const NodeSums& right, double l2, int sign, const Scoring& s,
                                     Bounds bounds) {
  if (left.n < s.min_samples || right.n < s.min_samples) return kNoSplit;
  const double hl = static_cast<double>(left.h) * s.h_unit, hr = static_cast<double>(right.h) * s.h_unit;
  if (hl < s.min_weight || hr < s.min_weight || !(hl + l2 > 0) || !(hr + l2 > 0)) return kNoSplit;
  const double gl = static_cast<double>(left.g) * s.g_unit, gr = static_cast<double>(right.g) * s.g_unit;
  if (s.by_value) {
    const double wl = leaf_weight(gl, hl, l2, s, bounds), wr = leaf_weight(gr, hr, l2, s, bounds);
    if (sign > 0 ? wl > wr : (sign < 0 && wl < wr)) return kNoSplit;
    return value_score(gl, hl, l2, wl, s) + value_score(gr, hr, l2, wr, s);
  }
  const double a = hl + l2, b = hr + l2, tl = shrink(gl, s.alpha), tr = shrink(gr, s.alpha);
  return (tl * tl * b + tr * tr * a) / (a * b);
}

// The best place so far of one direction of missing values.
struct BestBin {
  double score = kNoSplit;
  int64_t bin = -1;
};

// Sums up to each bin of a chunk. Lanes past the last bin have no rows, so that they do not count.
struct ChunkSums {
  int64_t g[kChunk], h[kChunk], n[kChunk];
};

template <bool kShrunk>
EINKORN_INLINE void best_of_chunk(BestBin& best, const ChunkSums& sums, int64_t count, int64_t first,
                                  const NodeSums& missing, const NodeSums& all, const Scoring& s) {
  using V = Vec<double>;
  using I = IntVec<double>;
  const V g_unit = broadcast(s.g_unit), h_unit = broadcast(s.h_unit), alpha = broadcast(s.alpha);
  V top = broadcast(best.score);
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
    V gl = __builtin_convertvector(left_g, V) * g_unit, gr = __builtin_convertvector(all.g - left_g, V) * g_unit;
    const V hl = __builtin_convertvector(left_h, V) * h_unit, hr = __builtin_convertvector(all.h - left_h, V) * h_unit;
    if (kShrunk) {
      const V zero = {};
      gl = maximum(absolute(gl) - alpha, zero);
      gr = maximum(absolute(gr) - alpha, zero);
    }
    const V a = hl + s.l2, b = hr + s.l2;
    const V score = (gl * gl * b + gr * gr * a) / (a * b);
    const I counts = (left_n >= s.min_samples) & (all.n - left_n >= s.min_samples) & (hl >= s.min_weight) &
                     (hr >= s.min_weight) & (a > 0) & (b > 0);
    const I better = counts & (score > top);
    top = better ? score : top;
    where = better ? at : where;
  }
  for (int i = 0; i < kLanes<double>; ++i)
    if (top[i] > best.score || (top[i] == best.score && where[i] < best.bin)) best = {top[i], where[i]};
}

EINKORN_INLINE void best_by_value(BestBin& best, const ChunkSums& sums, int64_t count, int64_t first,
                                  const NodeSums& missing, const NodeSums& all, int sign, const Scoring& s,
                                  Bounds bounds) {
  for (int64_t i = 0; i < count; ++i) {
    const NodeSums left = {sums.g[i] + missing.g, sums.h[i] + missing.h, sums.n[i] + missing.n};
    const double score = children_score(left, minus(all, left), s.l2, sign, s, bounds);
    if (score > best.score) best = {score, first + i};
  }
}

EINKORN_INLINE NodeSums sums_of_bin(const Hist& hist, int64_t i) {
  return {hist.g[i], hist.h != nullptr ? hist.h[i] : hist.n[i], hist.n[i]};
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
  const NodeSums missing = sums_of_bin(hist, bins), none = {0, 0, 0};
  const int64_t limit = missing.n > 0 ? bins : bins - 1;  // all values left, missing ones right, is a split too
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
    if (s.by_value) {
      best_by_value(right, sums, count, first, none, all, sign, s, bounds);
      if (missing.n > 0) best_by_value(left, sums, count, first, missing, all, sign, s, bounds);
      continue;
    }
    constexpr int64_t lanes = kLanes<double>;
    for (int64_t i = count; i < (count + lanes - 1) / lanes * lanes; ++i) {
      sums.g[i] = sums.h[i] = 0;
      sums.n[i] = -missing.n - 1;
    }
    if (s.alpha > 0) {
      best_of_chunk<true>(right, sums, count, first, none, all, s);
      if (missing.n > 0) best_of_chunk<true>(left, sums, count, first, missing, all, s);
    } else {
      best_of_chunk<false>(right, sums, count, first, none, all, s);
      if (missing.n > 0) best_of_chunk<false>(left, sums, count, first, missing, all, s);
    }
  }
  const bool missing_left = left.score > right.score;
  const BestBin& found = missing_left ? left : right;
  if (found.bin < 0) return;
  NodeSums sum = missing_left ? missing : none;
  Candidate split = {0, sum, feature, static_cast<int32_t>(found.bin), static_cast<uint8_t>(missing_left), 0};
  if (found.score - parent <= best.gain) return;
  for (int64_t i = 0; i <= found.bin; ++i) {
    const NodeSums bin = sums_of_bin(hist, i);
    sum = {sum.g + bin.g, sum.h + bin.h, sum.n + bin.n};
  }
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
inline void search_categorical(Candidate& best, uint32_t* set, int64_t words, const Hist& hist, int32_t feature,
                               int64_t bins, const NodeSums& all, double parent, const Scoring& s, Bounds bounds,
                               SortedCode* codes) {
  int64_t used = 0;
  for (int64_t c = 0; c + 1 < bins; ++c)
    if (hist.n[c] > 0) codes[used++].code = c;
  double score = kNoSplit;
  NodeSums left_sums = {0, 0, 0};
  int64_t from = 0, to = 0;  // codes[from : to] go left
  if (used <= s.onehot) {
    for (int64_t i = 0; i < used; ++i) {
      const NodeSums left = sums_of_bin(hist, codes[i].code);
      const double here = children_score(left, minus(all, left), s.l2, 0, s, bounds);
      if (here > score) {
        score = here;
        left_sums = left;
        from = i;
        to = i + 1;
      }
    }
  } else {
    for (int64_t i = 0; i < used; ++i) {
      const NodeSums bin = sums_of_bin(hist, codes[i].code);
      const double below = static_cast<double>(bin.h) * s.h_unit + s.cat_smooth;
      codes[i].key = below > 0 ? static_cast<double>(bin.g) * s.g_unit / below : 0;
    }
    sort_codes(codes, used);
    const int64_t half = (used + 1) / 2, most = half < s.max_categories ? half : s.max_categories;
    for (int end = 0; end < 2; ++end) {
      NodeSums left = {0, 0, 0};
      for (int64_t i = 0; i < most; ++i) {
        const NodeSums bin = sums_of_bin(hist, codes[end == 0 ? i : used - 1 - i].code);
        left = {left.g + bin.g, left.h + bin.h, left.n + bin.n};
        const double here = children_score(left, minus(all, left), s.l2 + s.cat_l2, 0, s, bounds);
        if (here > score) {
          score = here;
          left_sums = left;
          from = end == 0 ? 0 : used - 1 - i;
          to = end == 0 ? i + 1 : used;
        }
      }
    }
  }
  if (to == 0) return;
  const double before = best.gain;
  keep(best, score, parent, s, {0, left_sums, feature, -1, 0, 1});
  if (best.gain == before) return;
  for (int64_t w = 0; w < words; ++w) set[w] = 0;
  for (int64_t i = from; i < to; ++i) set[codes[i].code / 32] |= uint32_t{1} << (codes[i].code % 32);
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
