// What a node's rows say about its target, bin by bin, for tree_forest.cpp: class counts, class weights, or moments.
//
// A statistic has rows (what is kept of a row while it wanders through the nodes), bins (some 64-bit words that a row is
// added to), and a scan that walks over bins from the left and writes, after each, what the score of a split there is made
// of:
//
//   w[i]  weight on the left          n[i]  rows on the left
//   a[i], b[i]  so that the score is a / w + b / (W - w)         (gini, squared_error: divided later, by vectors)
//   score[i]  itself                                             (entropy, poisson)
//
// Class counts keep sum_k l_k^2 up to date instead of adding it up after each bin: l -> l + d adds d (2 l + d).

#pragma once

#include <math.h>
#include <string.h>

#include "kernels/tree/tree_forest.h"
#include "kernels/tree/tree_moments.h"
#include "simd/simd.h"

namespace einkorn {
inline namespace EINKORN_ISA {

// Places for what a scan writes, and for the node's sums.
struct ScanArrays {
  double* w;
  double* a;
  double* b;
  double* score;
  int64_t* n;
  double* totals;
  const double* logs;  // x ln x for x < kLogs
};

constexpr int64_t kLogs = kForestLogs;

// Kept from being fused into the additions it goes to, so that equal splits tie alike on every instruction set.
EINKORN_INLINE double entropy_term(double x) {
  double term = x > 0 ? x * ::log(x) : 0;
  asm("" : "+m"(term));
  return term;
}

// x ln(x / sum): the same bits, scaled, when all weights are multiplied by a power of two.
EINKORN_INLINE double entropy_term(double x, double sum) {
  double term = x > 0 ? x * ::log(x / sum) : 0;
  asm("" : "+m"(term));
  return term;
}

EINKORN_INLINE double entropy_term(int64_t x, const double* logs) {
  return x < kLogs ? logs[x] : entropy_term(static_cast<double>(x));
}

// Rows counted a whole number of times. A word is the number of rows of a class in its high half, their sum of counts
// in its low half. kClasses 2 keeps everything in registers; 0: any number.
template <int kClasses>
struct ClassCounts {
  struct Row {
    uint32_t row;
    uint16_t label, times;
  };
  using Word = uint64_t;

  const GrowForest& k;
  const ScanArrays& at;
  int64_t* totals;  // of the node
  int64_t* left;
  double weight = 0;
  double whole = 0;  // G(node)
  bool pure = false;

  EINKORN_INLINE ClassCounts(const GrowForest& args, const ScanArrays& arrays)
      : k(args),
        at(arrays),
        totals(reinterpret_cast<int64_t*>(arrays.totals)),
        left(reinterpret_cast<int64_t*>(arrays.totals) + args.classes) {}

  EINKORN_INLINE int64_t classes() const { return kClasses ? kClasses : k.classes; }
  EINKORN_INLINE int64_t stride() const { return classes(); }

  EINKORN_INLINE static Row make(const GrowForest& k, int64_t, int64_t row, int64_t times) {
    return {static_cast<uint32_t>(row), static_cast<uint16_t>(k.target[row]), static_cast<uint16_t>(times)};
  }

  EINKORN_INLINE static double weight_of(Row r) { return r.times; }

  EINKORN_INLINE double gain(double score) const { return score - whole; }

  EINKORN_INLINE void add(Word* bins, int64_t bin, Row r) const {
    bins[bin * stride() + r.label] += uint64_t{1} << 32 | r.times;
  }

  // Adds the rows whose code is at most `last`.
  template <class Code>
  EINKORN_INLINE void add_below(Word* bin, const Code* codes, const Row* r, int64_t n, Code last) const {
    if constexpr (kClasses == 2) {
      uint64_t all = 0, ones = 0;
      for (int64_t i = 0; i < n; ++i) {
        const uint64_t word = codes[i] <= last ? uint64_t{1} << 32 | r[i].times : 0;
        all += word;
        ones += r[i].label ? word : 0;
      }
      bin[0] += all - ones;
      bin[1] += ones;
    } else {
      for (int64_t i = 0; i < n; ++i) bin[r[i].label] += codes[i] <= last ? uint64_t{1} << 32 | r[i].times : 0;
    }
  }

  EINKORN_INLINE bool holds(const Word* bin) const {
    uint64_t any = 0;
    for (int64_t c = 0; c < classes(); ++c) any |= bin[c];
    return any != 0;
  }

  EINKORN_INLINE void node(const Row* rows, int64_t n, double* value) {
    int64_t sum = 0;
    if constexpr (kClasses == 2) {
      int64_t ones = 0;
      for (int64_t i = 0; i < n; ++i) {
        sum += rows[i].times;
        ones += rows[i].label ? rows[i].times : 0;
      }
      totals[0] = sum - ones;
      totals[1] = ones;
    } else {
      memset(totals, 0, static_cast<size_t>(classes()) * 8);
      for (int64_t i = 0; i < n; ++i) {
        totals[rows[i].label] += rows[i].times;
        sum += rows[i].times;
      }
    }
    weight = static_cast<double>(sum);
    int64_t squares = 0;
    pure = false;
    for (int64_t c = 0; c < classes(); ++c) {
      value[c] = static_cast<double>(totals[c]) / weight;
      squares += totals[c] * totals[c];
      pure |= totals[c] == sum;
    }
    if (pure) return;
    if (k.criterion == ForestCriterion::gini) {
      whole = static_cast<double>(squares) / weight;
    } else {
      whole = -entropy_term(sum, at.logs);
      for (int64_t c = 0; c < classes(); ++c) whole += entropy_term(totals[c], at.logs);
    }
  }

  EINKORN_INLINE void scan(const Word* bins, const int32_t* present, int64_t m, const Word* begun) const {
    if (k.criterion == ForestCriterion::entropy)
      scan_entropy(bins, present, m, begun);
    else if constexpr (kClasses == 2)
      scan_two(bins, present, m, begun);
    else
      scan_gini(bins, present, m, begun);
  }

 private:
  EINKORN_INLINE void scan_two(const Word* bins, const int32_t* present, int64_t m, const Word* begun) const {
    uint64_t zeros = begun ? begun[0] : 0, ones = begun ? begun[1] : 0;
    const int64_t total0 = totals[0], total1 = totals[1];
    for (int64_t i = 0; i < m; ++i) {
      zeros += bins[present[i] * 2];
      ones += bins[present[i] * 2 + 1];
      const int64_t l0 = static_cast<uint32_t>(zeros), l1 = static_cast<uint32_t>(ones);
      const int64_t r0 = total0 - l0, r1 = total1 - l1;
      at.w[i] = static_cast<double>(l0 + l1);
      at.a[i] = static_cast<double>(l0 * l0 + l1 * l1);
      at.b[i] = static_cast<double>(r0 * r0 + r1 * r1);
      at.n[i] = static_cast<int64_t>((zeros >> 32) + (ones >> 32));
    }
  }

  EINKORN_INLINE void scan_gini(const Word* bins, const int32_t* present, int64_t m, const Word* begun) const {
    int64_t w = 0, n = 0, l2 = 0, r2 = 0;
    for (int64_t c = 0; c < classes(); ++c) {
      left[c] = 0;
      r2 += totals[c] * totals[c];
    }
    const auto take = [&](const Word* bin) {
      for (int64_t c = 0; c < classes(); ++c) {
        if (bin[c] == 0) continue;
        const int64_t d = static_cast<uint32_t>(bin[c]), l = left[c], r = totals[c] - l;
        l2 += d * (2 * l + d);
        r2 -= d * (2 * r - d);
        left[c] = l + d;
        w += d;
        n += static_cast<int64_t>(bin[c] >> 32);
      }
    };
    if (begun) take(begun);
    for (int64_t i = 0; i < m; ++i) {
      take(bins + present[i] * stride());
      at.w[i] = static_cast<double>(w);
      at.a[i] = static_cast<double>(l2);
      at.b[i] = static_cast<double>(r2);
      at.n[i] = n;
    }
  }

  EINKORN_INLINE void scan_entropy(const Word* bins, const int32_t* present, int64_t m, const Word* begun) const {
    int64_t w = 0, n = 0, sum = 0;
    for (int64_t c = 0; c < classes(); ++c) {
      left[c] = 0;
      sum += totals[c];
    }
    const auto take = [&](const Word* bin) {
      for (int64_t c = 0; c < classes(); ++c) {
        const int64_t d = static_cast<uint32_t>(bin[c]);
        left[c] += d;
        w += d;
        n += static_cast<int64_t>(bin[c] >> 32);
      }
    };
    if (begun) take(begun);
    for (int64_t i = 0; i < m; ++i) {
      take(bins + present[i] * stride());
      double a = 0, b = 0;
      for (int64_t c = 0; c < classes(); ++c) {
        a += entropy_term(left[c], at.logs);
        b += entropy_term(totals[c] - left[c], at.logs);
      }
      at.w[i] = static_cast<double>(w);
      at.score[i] = (a - entropy_term(w, at.logs)) + (b - entropy_term(sum - w, at.logs));
      at.n[i] = n;
    }
  }
};

// Rows with weights: a word for each class, and one for the number of rows.
struct ClassWeights {
  struct Row {
    uint32_t row, label;
    double weight;
  };
  using Word = double;

  const GrowForest& k;
  const ScanArrays& at;
  double weight = 0;
  double whole = 0;
  bool pure = false;

  EINKORN_INLINE ClassWeights(const GrowForest& args, const ScanArrays& arrays) : k(args), at(arrays) {}

  EINKORN_INLINE int64_t stride() const { return k.classes + 1; }

  EINKORN_INLINE static Row make(const GrowForest& k, int64_t tree, int64_t row, int64_t times) {
    const auto label = static_cast<uint32_t>(k.target[row]);
    const double weight = (k.weight ? k.weight[row] : 1.0) * static_cast<double>(times);
    return {static_cast<uint32_t>(row), label,
            k.class_weight ? weight * k.class_weight[tree * k.classes + label] : weight};
  }

  EINKORN_INLINE static double weight_of(Row r) { return r.weight; }

  EINKORN_INLINE double gain(double score) const { return score - whole; }

  EINKORN_INLINE void add(Word* bins, int64_t bin, Row r) const {
    Word* const words = bins + bin * stride();
    words[r.label] += r.weight;
    words[k.classes] += 1;
  }

  template <class Code>
  EINKORN_INLINE void add_below(Word* bin, const Code* codes, const Row* r, int64_t n, Code last) const {
    for (int64_t i = 0; i < n; ++i) {
      const bool below = codes[i] <= last;
      bin[r[i].label] += below ? r[i].weight : 0;
      bin[k.classes] += below;
    }
  }

  EINKORN_INLINE bool holds(const Word* bin) const { return bin[k.classes] != 0; }

  EINKORN_INLINE void node(const Row* rows, int64_t n, double* value) {
    double* const totals = at.totals;
    for (int64_t c = 0; c < k.classes; ++c) totals[c] = 0;
    pure = true;
    weight = 0;
    for (int64_t i = 0; i < n; ++i) {
      totals[rows[i].label] += rows[i].weight;
      weight += rows[i].weight;
      pure &= rows[i].label == rows[0].label;
    }
    double squares = 0, terms = 0;
    for (int64_t c = 0; c < k.classes; ++c) {
      value[c] = pure ? static_cast<double>(c == rows[0].label) : totals[c] / weight;
      squares += totals[c] * totals[c];
    }
    if (pure) return;
    if (k.criterion == ForestCriterion::entropy)
      for (int64_t c = 0; c < k.classes; ++c) terms += entropy_term(totals[c], weight);
    whole = k.criterion == ForestCriterion::gini ? squares / weight : terms;
  }

  EINKORN_INLINE void scan(const Word* bins, const int32_t* present, int64_t m, const Word* begun) const {
    const bool gini = k.criterion == ForestCriterion::gini;
    const double* const totals = at.totals;
    double* const left = at.totals + k.classes;
    double w = 0, rows = 0;
    for (int64_t c = 0; c < k.classes; ++c) left[c] = 0;
    const auto take = [&](const Word* bin) {
      for (int64_t c = 0; c < k.classes; ++c) {
        left[c] += bin[c];
        w += bin[c];
      }
      rows += bin[k.classes];
    };
    if (begun) take(begun);
    for (int64_t i = 0; i < m; ++i) {
      take(bins + present[i] * stride());
      double a = 0, b = 0;
      for (int64_t c = 0; c < k.classes; ++c) {
        const double l = left[c], r = totals[c] - l;
        a += gini ? l * l : entropy_term(l, w);
        b += gini ? r * r : entropy_term(r, weight - w);
      }
      at.w[i] = w;
      at.n[i] = static_cast<int64_t>(rows);
      at.a[i] = a;
      at.b[i] = b;
      if (!gini) at.score[i] = a + b;
    }
  }
};

// Regression: sums of weight and of weight * (target - centre), and the number of rows.
//
// The centre is near the node's mean, so that sums of squares do not cancel however far from 0 the targets lie, and equal splits score
// alike wherever that is (tree_moments.h). The scores of squared_error are of sums in `unit`.
//
// poisson: with the node's mean M and a side's mean M (1 + t), the sides' scores are W M ((1 + t) ln(1 + t) - t), which is
// the deviance's decrease without the sums that cancel. Targets near 0 are not centred: a sum of 0 must be seen as one.
struct Moments {
  struct Row {
    uint64_t row;
    double weight, target;
  };
  using Word = double;

  const GrowForest& k;
  const ScanArrays& at;
  double weight = 0;
  double sum = 0;
  double centre = 0;
  double mean = 0;
  double unit = 1;
  double whole = 0;
  bool pure = false;

  EINKORN_INLINE Moments(const GrowForest& args, const ScanArrays& arrays) : k(args), at(arrays) {}

  EINKORN_INLINE int64_t stride() const { return 3; }

  EINKORN_INLINE static Row make(const GrowForest& k, int64_t, int64_t row, int64_t times) {
    return {static_cast<uint64_t>(row), (k.weight ? k.weight[row] : 1.0) * static_cast<double>(times), k.target[row]};
  }

  EINKORN_INLINE static double weight_of(Row r) { return r.weight; }

  EINKORN_INLINE void add(Word* bins, int64_t bin, Row r) const {
    Word* const words = bins + bin * 3;
    words[0] += r.weight;
    words[1] += r.weight * (r.target - centre);
    words[2] += 1;
  }

  template <class Code>
  EINKORN_INLINE void add_below(Word* bin, const Code* codes, const Row* r, int64_t n, Code last) const {
    double w = 0, s = 0;
    int64_t count = 0;
    for (int64_t i = 0; i < n; ++i) {
      const bool below = codes[i] <= last;
      w += below ? r[i].weight : 0;
      s += below ? r[i].weight * (r[i].target - centre) : 0;
      count += below;
    }
    bin[0] += w;
    bin[1] += s;
    bin[2] += static_cast<double>(count);
  }

  EINKORN_INLINE bool holds(const Word* bin) const { return bin[2] != 0; }

  EINKORN_INLINE void node(const Row* rows, int64_t n, double* value) {
    const double first = rows[0].target;
    double least = first, most = first;
    weight = sum = 0;
    for (int64_t i = 0; i < n; ++i) {
      const double y = rows[i].target;
      weight += rows[i].weight;
      sum += rows[i].weight * (y - first);
      least = y < least ? y : least;
      most = y > most ? y : most;
    }
    pure = least == most;
    value[0] = least;
    if (pure) return;
    centre = centre_of(first + sum / weight, least, most, k.criterion == ForestCriterion::poisson);
    sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += rows[i].weight * (rows[i].target - centre);
    mean = centre + sum / weight;
    mean = mean < least ? least : (mean > most ? most : mean);
    value[0] = mean;
    unit = unit_of(most - least, weight);
    whole = k.criterion == ForestCriterion::squared_error ? (sum * unit) * (sum * unit) / weight : 0;
  }

  // The gain in its own unit.
  EINKORN_INLINE double gain(double score) const {
    return natural_gain(score - whole, unit, k.criterion == ForestCriterion::squared_error);
  }

  EINKORN_INLINE void scan(const Word* bins, const int32_t* present, int64_t m, const Word* begun) const {
    double w = begun ? begun[0] : 0, s = begun ? begun[1] : 0, rows = begun ? begun[2] : 0;
    const bool squared = k.criterion == ForestCriterion::squared_error;
    for (int64_t i = 0; i < m; ++i) {
      const Word* const bin = bins + present[i] * 3;
      w += bin[0];
      s += bin[1];
      rows += bin[2];
      const double left = s * unit, rest = (sum - s) * unit;
      at.w[i] = w;
      at.n[i] = static_cast<int64_t>(rows);
      at.a[i] = left * left;
      at.b[i] = rest * rest;
      if (!squared) at.score[i] = poisson(s, w) + poisson(sum - s, weight - w);
    }
  }

 private:
  EINKORN_INLINE double poisson(double s, double w) const {
    if (centre == 0 && !(s > 0)) return -INFINITY;
    const double t = (centre == 0 ? s / w - mean : s / w - sum / weight) / mean;
    double score = poisson_term(t);
    score *= w * mean;
    asm("" : "+m"(score));
    return score;
  }
};

}  // namespace EINKORN_ISA
}  // namespace einkorn
