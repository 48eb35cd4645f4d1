// What the growing of trees on the CPU and on the GPU have in common: gradients as whole numbers, scores of splits, splits by categories.

#pragma once

#include <math.h>
#include <string.h>

#include "kernels/scalar.h"
#include "kernels/tree/tree_grow_plan.h"

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
EINKORN_SCALAR double sum_of(int64_t high, int64_t low, double unit) {
  return (static_cast<double>(high) / kLowUnit + static_cast<double>(low)) * (unit * kLowUnit);
}

EINKORN_SCALAR double g_of(const NodeSums& sums, const Scoring& s) {
  return sum_of(sums.g, sums.g_low, s.g_unit);
}

EINKORN_SCALAR double h_of(const NodeSums& sums, const Scoring& s) {
  return sum_of(sums.h, sums.h_low, s.h_unit);
}

struct Bounds {
  double lower, upper;
};

constexpr double kNoSplit = -INFINITY;  // scores of bounded values may be negative

EINKORN_SCALAR double shrink(double g, double alpha) {
  const double size = ::fabs(g) - alpha;
  return size > 0 ? ::copysign(size, g) : 0;
}

EINKORN_SCALAR double leaf_weight(double g, double h, double l2, const Scoring& s, Bounds bounds) {
  double w = h + l2 > 0 ? -shrink(g, s.alpha) / (h + l2) : 0;
  if (s.step > 0) w = w > s.step ? s.step : (w < -s.step ? -s.step : w);
  return w > bounds.upper ? bounds.upper : (w < bounds.lower ? bounds.lower : w);
}

EINKORN_SCALAR double value_score(double g, double h, double l2, double w, const Scoring& s) {
  return -(2 * g * w + (h + l2) * w * w + 2 * s.alpha * ::fabs(w));
}

EINKORN_SCALAR double node_score(const NodeSums& sums, double l2, const Scoring& s, Bounds bounds) {
  const double g = g_of(sums, s), h = h_of(sums, s);
  if (s.by_value) return value_score(g, h, l2, leaf_weight(g, h, l2, s, bounds), s);
  const double top = shrink(g, s.alpha);
  return h + l2 > 0 ? top * top / (h + l2) : 0;
}

EINKORN_SCALAR NodeSums minus(const NodeSums& a, const NodeSums& b) {
  return {a.g - b.g, a.h - b.h, a.n - b.n, a.g_low - b.g_low, a.h_low - b.h_low};
}

EINKORN_SCALAR NodeSums plus(const NodeSums& a, const NodeSums& b) {
  return {a.g + b.g, a.h + b.h, a.n + b.n, a.g_low + b.g_low, a.h_low + b.h_low};
}

// By how much a score must exceed this one to count as better.
EINKORN_SCALAR double tie_of(double score, double parent) {
  return kTie * ::fabs(score - parent) + kRounding * (::fabs(score) + ::fabs(parent));
}

// Score of both children, minus infinity where the split does not count.
EINKORN_SCALAR double children_score(const NodeSums& left, const NodeSums& right, double l2, int sign, const Scoring& s,
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

// Which codes go left.
struct SideTest {
  const uint32_t* set;  // null: numeric
  int32_t code, missing, bins;
  bool missing_left;

  EINKORN_SCALAR bool goes_left(int32_t c) const {
    if (set != nullptr) return c == missing ? missing_left : (c < bins && (set[c / 32] >> (c % 32) & 1) != 0);
    return (c <= code) | (missing_left & (c == missing));
  }
};

struct Hist {
  int64_t* g;
  int64_t* h;  // null without hessians
  int32_t* n;
  int64_t* g_low;  // null unless wide
  int64_t* h_low;

  // The histogram from bin `at` on.
  EINKORN_SCALAR Hist from(int64_t at) const {
    return {g + at, h != nullptr ? h + at : nullptr, n + at, g_low != nullptr ? g_low + at : nullptr,
            h_low != nullptr ? h_low + at : nullptr};
  }
};

EINKORN_SCALAR Hist hist_at(char* memory, int64_t bins, SumKind kind) {
  int64_t* const g = reinterpret_cast<int64_t*>(memory);
  if (kind == SumKind::ones) return {g, nullptr, reinterpret_cast<int32_t*>(g + bins), nullptr, nullptr};
  if (kind == SumKind::single) return {g, g + bins, reinterpret_cast<int32_t*>(g + 2 * bins), nullptr, nullptr};
  return {g, g + bins, reinterpret_cast<int32_t*>(g + 4 * bins), g + 2 * bins, g + 3 * bins};
}

EINKORN_SCALAR NodeSums sums_of_bin(const Hist& hist, int64_t i) {
  return {hist.g[i], hist.h != nullptr ? hist.h[i] : hist.n[i], hist.n[i], hist.g_low != nullptr ? hist.g_low[i] : 0,
          hist.h_low != nullptr ? hist.h_low[i] : 0};
}

EINKORN_SCALAR void keep(Candidate& best, double score, double parent, const Scoring& s, const Candidate& found) {
  const double gain = score - parent;
  if (!(gain > s.min_gain) || !(gain > kRounding * (::fabs(score) + ::fabs(parent))) || !(gain > best.gain)) return;
  best = found;
  best.gain = gain;
}

struct SortedCode {
  double key;
  int64_t code;
};

EINKORN_SCALAR void sort_codes(SortedCode* a, int64_t n) {
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
EINKORN_SCALAR void search_categorical(Candidate& best, uint32_t* set, int64_t words, const Hist& hist, int32_t feature,
                                       int64_t bins, const NodeSums& all, double parent, const Scoring& s,
                                       Bounds bounds, SortedCode* codes) {
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

constexpr int kQuantumBits = 30;
constexpr double kLeastShare = 0x1p-20;  // of the largest hessian: below it, sums are wide

EINKORN_SCALAR double power_of_two(int exponent) {
  const uint64_t bits = static_cast<uint64_t>(exponent + 1023) << 52;
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// The power of two that brings numbers up to `largest` below 2^30.
EINKORN_SCALAR double unit_scale(double largest) {
  if (!(largest > 0)) return 1;
  uint64_t bits;
  memcpy(&bits, &largest, sizeof bits);
  const int exponent = static_cast<int>(bits >> 52 & 0x7ff) - 1022;  // largest < 2^exponent
  const int up = kQuantumBits - exponent;
  return power_of_two(up > 1000 ? 1000 : up);
}

template <class T>
EINKORN_SCALAR int32_t quantised(T x, double scale) {
  return static_cast<int32_t>(::rint(static_cast<double>(x) * scale));
}

// What `high` leaves of x, in 2^-30 of its unit: differences and products with powers of two are exact.
template <class T>
EINKORN_SCALAR int32_t low_part(T x, double scale, int32_t high) {
  return static_cast<int32_t>(::rint((static_cast<double>(x) * scale - high) / kLowUnit));
}

// The units of the numbers whose extremes are given, by blocks: the largest gradient and hessian, and the least hessian above 0. 0, or
// what *nodes is to be.
inline int choose_units(const double* extremes, int64_t blocks, SumKind kind, Scoring& s) {
  double largest_g = 0, largest_h = 0, least_h = INFINITY;
  for (int64_t block = 0; block < blocks; ++block) {
    const double g = extremes[4 * block];
    if (!(g - g == 0)) return kBadGradient;
    largest_g = g > largest_g ? g : largest_g;
  }
  for (int64_t block = 0; kind != SumKind::ones && block < blocks; ++block) {
    const double h = extremes[4 * block + 1], least = extremes[4 * block + 2];
    if (!(h >= 0)) return kBadHessian;
    largest_h = h > largest_h ? h : largest_h;
    least_h = least < least_h ? least : least_h;
  }
  if (kind == SumKind::single && least_h < largest_h * kLeastShare) return kNeedsWide;
  const double g_scale = unit_scale(largest_g), h_scale = kind == SumKind::ones ? 1 : unit_scale(largest_h);
  s.g_unit = 1 / g_scale;
  s.h_unit = 1 / h_scale;
  return 0;
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
