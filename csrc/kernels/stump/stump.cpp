// Decision stumps: the best split of one weighted feature, in one pass over its rows in order.
//
//     order     7  2| 9| 4  1  3| ...     | : a larger value follows, a threshold may stand here
//     sums      running sums S (signed weights) and W (weights) of the left side, for 512 rows
//     scores    of these 512 at once: vectors of doubles, the best of every lane
//
// Two classes: a row's float32 holds its weight and, as its sign, its class, so that one load at a random place (in L2: 400 KB
// for 100,000 rows) serves both sums. With p, n = (W + S) / 2, (W - S) / 2 the Gini score of a side is (p^2 + n^2) / W = W/2 +
// S^2 / 2W: the best split has the largest SL^2 / WL + SR^2 / WR. Running sums are formed in fours, so that a chain of
// additions is a fourth as long; sums of float32 in double are exact, so the grouping changes nothing.
// More classes: sums for each class, and a score at every place where the value changes.
// Binned: class sums of each code in one pass, then the same scores over codes.
//
// one search, 100,000 rows x 28 features, avx512, 2 threads, in ms      gini   error   entropy
//   two classes, in order                                               3.3    3.9     59 (four logarithms a split)
//   three classes, in order                                             14.6   18      113
//   two classes, 255 bins                                               1.1    1.1     1.3

#include "kernels/stump/stump.h"

#include "kernels/stump/stump_scores.h"
#include "simd/lanes.h"
#include "simd/math.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr int64_t kBlock = 512;
constexpr int32_t kRow = 0x7fffffff;

// total[c] = sum of the weights of class c; for two classes S and W.
template <class Args>
void sum_classes(const Args& k, const StumpParts& plan) {
  const int64_t blocks = stump_blocks(k.rows), classes = k.classes;
  parallel_for(k.ws, blocks, 0.5 * kStumpBlock, [&](int64_t block, int) {
    const int64_t begin = block * kStumpBlock;
    const int64_t end = k.rows - begin < kStumpBlock ? k.rows : begin + kStumpBlock;
    double* sum = plan.partial + block * classes;
    for (int64_t c = 0; c < classes; ++c) sum[c] = 0;
    if (classes == 2) {
      double s[8] = {}, w[8] = {};
      int64_t i = begin;
      for (; i + 8 <= end; i += 8)
        for (int l = 0; l < 8; ++l) {
          s[l] += k.weights[i + l];
          w[l] += __builtin_fabsf(k.weights[i + l]);
        }
      for (; i < end; ++i) {
        s[0] += k.weights[i];
        w[0] += __builtin_fabsf(k.weights[i]);
      }
      for (int l = 0; l < 8; ++l) {
        sum[0] += s[l];
        sum[1] += w[l];
      }
    } else {
      for (int64_t i = begin; i < end; ++i) sum[k.target[i]] += k.weights[i];
    }
  });
  for (int64_t c = 0; c < classes; ++c) plan.total[c] = 0;
  for (int64_t b = 0; b < blocks; ++b)
    for (int64_t c = 0; c < classes; ++c) plan.total[c] += plan.partial[b * classes + c];
}

// The features' bests are compared in their order. found[0..3] = score, position, missing_left, (unused); then L.
template <class Args>
void choose(const Args& k, const StumpParts& plan) {
  const int64_t classes = k.classes;
  double weight = 0;
  if (classes == 2)
    weight = plan.total[1];
  else
    for (int64_t c = 0; c < classes; ++c) weight += plan.total[c];
  const double* best = nullptr;
  k.place[0] = k.place[1] = -1;
  k.place[2] = 0;
  for (int64_t f = 0; f < k.features; ++f) {
    const double* found = plan.features[f];
    if (found[1] < 0) continue;
    if (best != nullptr && !(found[0] > best[0] + kTie * weight)) continue;
    best = found;
    k.place[0] = f;
    k.place[1] = static_cast<int64_t>(found[1]);
    k.place[2] = static_cast<int64_t>(found[2]);
  }
  for (int64_t c = 0; c < classes; ++c) {
    const double left = best != nullptr ? best[4 + c] : 0;
    k.sums[c] = left;
    k.sums[classes + c] = plan.total[c] - left;
  }
  if (classes == 2)
    for (int64_t side = 0; side < 4; side += 2) {
      const double s = k.sums[side], w = k.sums[side + 1];
      k.sums[side] = (w - s) / 2;
      k.sums[side + 1] = (w + s) / 2;
    }
}

// Both bests of a feature into its place: with missing rows on the right, unless those on the left gain.
void finish_pair(double* found, const PairScan& right, const PairScan& left, double tie) {
  const Found r = right.best(tie), l = left.best(tie);
  const bool use_left = l.position >= 0 && (r.position < 0 || l.score > r.score + tie);
  const Found& best = use_left ? l : r;
  found[0] = best.score;
  found[1] = static_cast<double>(best.position);
  found[2] = use_left;
  found[4] = best.s;
  found[5] = best.w;
}

EINKORN_INLINE int32_t row_of(int32_t entry) {
  return entry & kRow;
}

template <StumpCriterion kCriterion>
void search_pair(const StumpSearch& k, const StumpParts& plan, int64_t f) {
  const int32_t* order = k.order + f * k.rows;
  const int64_t missing = k.missing[f], n = k.rows - missing;
  const double tie = kTie * plan.total[1];
  double ms = 0, mw = 0;
  for (int64_t i = n; i < k.rows; ++i) {
    const float v = k.weights[row_of(order[i])];
    ms += v;
    mw += __builtin_fabsf(v);
  }
  PairScan right(plan.total[0], plan.total[1], tie), left(plan.total[0], plan.total[1], tie);
  alignas(kVectorBytes) double S[kBlock], W[kBlock];
  double s = 0, w = 0;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int32_t* o = order + begin;
    const int64_t size = n - begin < kBlock ? n - begin : kBlock;
    int64_t i = 0;
    for (; i + 4 <= size; i += 4) {
      const double a = k.weights[row_of(o[i])], b = k.weights[row_of(o[i + 1])];
      const double c = k.weights[row_of(o[i + 2])], d = k.weights[row_of(o[i + 3])];
      const double ab = a + b, abc = ab + c, cd = c + d;
      S[i] = s + a;
      S[i + 1] = s + ab;
      S[i + 2] = s + abc;
      S[i + 3] = s = s + (ab + cd);
      const double wa = __builtin_fabs(a), wb = __builtin_fabs(b), wc = __builtin_fabs(c), wd = __builtin_fabs(d);
      const double wab = wa + wb, wabc = wab + wc, wcd = wc + wd;
      W[i] = w + wa;
      W[i + 1] = w + wab;
      W[i + 2] = w + wabc;
      W[i + 3] = w = w + (wab + wcd);
    }
    for (; i < size; ++i) {
      const double v = k.weights[row_of(o[i])];
      S[i] = s += v;
      W[i] = w += __builtin_fabs(v);
    }
    only_ends_of_runs(W, o, size);
    right.take<kCriterion>(S, W, begin, size, 0, 0);
    if (missing > 0) left.take<kCriterion>(S, W, begin, size, ms, mw);
  }
  finish_pair(plan.features[f], right, left, tie);
}

void search_classes(const StumpSearch& k, const StumpParts& plan, int64_t f) {
  const int32_t* order = k.order + f * k.rows;
  const int64_t n = k.rows - k.missing[f];
  ClassScan scan(k.criterion, plan.features[f], plan.total, k.classes);
  for (int64_t i = n; i < k.rows; ++i) {
    const int32_t row = row_of(order[i]);
    scan.missing[k.target[row]] += k.weights[row];
  }
  scan.has_missing = n < k.rows;
  for (int64_t i = 0; i < n; ++i) {
    const int32_t row = row_of(order[i]);
    scan.left[k.target[row]] += k.weights[row];
    if (order[i] < 0) scan.score_here(i);
  }
  scan.finish();
}

// Sums of the codes, [codes, classes]: for two classes S and W side by side.
template <class Code>
void fill_histogram(double* sums, const StumpSearchBinned& k, int64_t f) {
  const Code* codes = static_cast<const Code*>(k.codes) + f * k.rows;
  const int64_t classes = k.classes;
  const int64_t bins = k.bins[f];
  for (int64_t i = 0; i < bins * classes; ++i) sums[i] = 0;
  for (int64_t c = 0; c < classes; ++c) sums[k.missing_code * classes + c] = 0;
  if (classes == 2)
    for (int64_t i = 0; i < k.rows; ++i) {
      double* at = sums + 2 * static_cast<int64_t>(codes[i]);
      const double v = k.weights[i];
      at[0] += v;
      at[1] += __builtin_fabs(v);
    }
  else
    for (int64_t i = 0; i < k.rows; ++i) sums[codes[i] * classes + k.target[i]] += k.weights[i];
}

template <StumpCriterion kCriterion>
void scan_pair_bins(const double* sums, const StumpSearchBinned& k, const StumpParts& plan, int64_t f) {
  const double tie = kTie * plan.total[1];
  const int64_t bins = k.bins[f];
  const double ms = sums[2 * k.missing_code], mw = sums[2 * k.missing_code + 1];
  PairScan right(plan.total[0], plan.total[1], tie), left(plan.total[0], plan.total[1], tie);
  alignas(kVectorBytes) double S[kBlock], W[kBlock];
  double s = 0, w = 0;
  for (int64_t begin = 0; begin < bins; begin += kBlock) {
    const int64_t size = bins - begin < kBlock ? bins - begin : kBlock;
    for (int64_t i = 0; i < size; ++i) {
      S[i] = s += sums[2 * (begin + i)];
      W[i] = w += sums[2 * (begin + i) + 1];
    }
    fill_tail(W, size);
    right.take<kCriterion>(S, W, begin, size, 0, 0);
    if (mw > 0) left.take<kCriterion>(S, W, begin, size, ms, mw);
  }
  finish_pair(plan.features[f], right, left, tie);
}

void search_bins(const StumpSearchBinned& k, const StumpParts& plan, int64_t f, double* sums) {
  if (k.code_bytes == 1)
    fill_histogram<uint8_t>(sums, k, f);
  else
    fill_histogram<uint16_t>(sums, k, f);
  if (k.classes == 2) {
    if (k.criterion == StumpCriterion::gini) return scan_pair_bins<StumpCriterion::gini>(sums, k, plan, f);
    if (k.criterion == StumpCriterion::entropy) return scan_pair_bins<StumpCriterion::entropy>(sums, k, plan, f);
    return scan_pair_bins<StumpCriterion::error>(sums, k, plan, f);
  }
  ClassScan scan(k.criterion, plan.features[f], plan.total, k.classes);
  for (int64_t c = 0; c < k.classes; ++c) {
    scan.missing[c] = sums[k.missing_code * k.classes + c];
    if (scan.missing[c] > 0) scan.has_missing = true;
  }
  for (int64_t b = 0; b < k.bins[f]; ++b) {
    for (int64_t c = 0; c < k.classes; ++c) scan.left[c] += sums[b * k.classes + c];
    scan.score_here(b);
  }
  scan.finish();
}

}  // namespace

void stump_search(const StumpSearch& k) {
  const auto plan = carve<StumpParts>(k);
  sum_classes(k, plan);
  const double cost = static_cast<double>(k.rows) * (k.classes == 2 ? 1.5 : 3.0 + static_cast<double>(k.classes));
  parallel_for(k.ws, k.features, cost, [&](int64_t f, int) {
    if (k.classes != 2)
      search_classes(k, plan, f);
    else if (k.criterion == StumpCriterion::gini)
      search_pair<StumpCriterion::gini>(k, plan, f);
    else if (k.criterion == StumpCriterion::entropy)
      search_pair<StumpCriterion::entropy>(k, plan, f);
    else
      search_pair<StumpCriterion::error>(k, plan, f);
  });
  choose(k, plan);
}

void stump_search_binned(const StumpSearchBinned& k) {
  const auto plan = carve<BinnedStumpParts>(k);
  sum_classes(k, plan);
  parallel_for(k.ws, k.features, 1.2 * static_cast<double>(k.rows) + 2000,
               [&](int64_t f, int slot) { search_bins(k, plan, f, plan.histograms[slot]); });
  choose(k, plan);
}

}  // namespace einkorn::EINKORN_ISA
