// The scores of a stump's splits, and the best of them so far: two classes by vectors, more classes one split at a time.

#pragma once

#include "kernels/stump/stump.h"
#include "simd/lanes.h"
#include "simd/math.h"

namespace einkorn {
inline namespace EINKORN_ISA {

// Scores are at most the sum of all weights; within this part of it they count as equal, whatever the order of additions
// and whether products were fused.
constexpr double kTie = 1e-12;

struct Found {
  double score;
  int64_t position;  // -1: nothing
  double s, w;       // of the left side
};

// x log x, 0 at 0 and for what rounding left below.
EINKORN_INLINE double x_log_x(double x) {
  return x > 0 ? x * ::log(x) : 0.0;
}

// NaN after the last of `size` entries, up to a whole vector: no comparison with it holds.
EINKORN_INLINE void fill_tail(double* W, int64_t size) {
  for (; size % kLanes<double> != 0; ++size) W[size] = __builtin_nan("");
}

// W keeps what it has where the sign bit of o is set and is NaN elsewhere.
EINKORN_INLINE void only_ends_of_runs(double* W, const int32_t* o, int64_t size) {
  for (int64_t i = 0; i < size; ++i) W[i] = o[i] < 0 ? W[i] : __builtin_nan("");
  fill_tail(W, size);
}

// The best split of each lane, for two classes given as S (signed sum) and W (sum) of the left side.
struct PairScan {
  double total_s, total_w, tie;
  Vec<double> score, s, w;
  IntVec<double> position;

  EINKORN_INLINE PairScan(double s_all, double w_all, double tie_)
      : total_s(s_all), total_w(w_all), tie(tie_), score(broadcast(-__builtin_inf())), s{}, w{}, position{} {
    position -= 1;
  }

  // Splits begin .. begin + size - 1; (ms, mw) goes to the left with each. S and W are read up to a whole vector.
  template <StumpCriterion kCriterion>
  EINKORN_INLINE void take(const double* S, const double* W, int64_t begin, int64_t size, double ms, double mw) {
    const IntVec<double> lanes = lane_numbers<double>();
    for (int64_t i = 0; i < size; i += kLanes<double>) {
      const Vec<double> sl = load(S + i) + ms, wl = load(W + i) + mw;
      const Vec<double> sr = total_s - sl, wr = total_w - wl;
      const Vec<double> both = wl * wr;
      Vec<double> here;
      if constexpr (kCriterion == StumpCriterion::gini)
        here = (sl * sl * wr + sr * sr * wl) / both;
      else if constexpr (kCriterion == StumpCriterion::error)
        here = absolute(sl) + absolute(sr);
      else
        here = entropy(sl, wl, both) + entropy(sr, wr, both);
      const IntVec<double> better = (here > score + tie) & (both > 0) & (wl > 0);
      score = better ? here : score;
      s = better ? sl : s;
      w = better ? wl : w;
      position = better ? lanes + (begin + i) : position;
    }
  }

  // p log p + n log n - w log w, where it is a split at all.
  EINKORN_INLINE static Vec<double> entropy(Vec<double> s, Vec<double> w, Vec<double> both) {
    Vec<double> out = {};
    for (int l = 0; l < kLanes<double>; ++l)
      if (both[l] > 0) out[l] = x_log_x((w[l] + s[l]) / 2) + x_log_x((w[l] - s[l]) / 2) - x_log_x(w[l]);
    return out;
  }

  // The lowest position among the lanes' bests that tie with the best.
  EINKORN_INLINE Found best(double tie_) const {
    Found out = {-__builtin_inf(), -1, 0, 0};
    const double top = max_lanes<double>(score);
    for (int l = 0; l < kLanes<double>; ++l)
      if (position[l] >= 0 && score[l] >= top - tie_ && (out.position < 0 || position[l] < out.position))
        out = {score[l], position[l], s[l], w[l]};
    return out;
  }
};

// The best split of a feature for any number of classes. `found` is four numbers and four rows of class sums: the best L with missing
// rows on the right, the best with them on the left, the running L, the missing rows.
struct ClassScan {
  double* found;
  double* best_left;
  double* left;
  double* missing;
  const double* total;
  int64_t classes;
  StumpCriterion criterion;
  bool has_missing = false;
  double tie;
  double score[2] = {-__builtin_inf(), -__builtin_inf()};  // missing rows on the right, on the left
  double position[2] = {-1, -1};

  EINKORN_INLINE ClassScan(StumpCriterion criterion_, double* found_, const double* total_, int64_t classes_)
      : found(found_),
        best_left(found_ + 4),
        left(found_ + 4 + 2 * classes_),
        missing(found_ + 4 + 3 * classes_),
        total(total_),
        classes(classes_),
        criterion(criterion_) {
    double weight = 0;
    for (int64_t c = 0; c < classes; ++c) {
      weight += total[c];
      best_left[c] = best_left[classes + c] = left[c] = missing[c] = 0;
    }
    tie = kTie * weight;
  }

  // The score with missing rows on either side; below any other where a side is empty.
  EINKORN_INLINE double evaluate(bool with_missing) const {
    double wl = 0, wr = 0, gl = 0, gr = 0, top_l = 0, top_r = 0;
    for (int64_t c = 0; c < classes; ++c) {
      const double l = with_missing ? left[c] + missing[c] : left[c];
      const double r = total[c] - l;
      wl += l;
      wr += r;
      if (criterion == StumpCriterion::gini) {
        gl += l * l;
        gr += r * r;
      } else if (criterion == StumpCriterion::entropy) {
        gl += x_log_x(l);
        gr += x_log_x(r);
      } else {
        top_l = l > top_l ? l : top_l;
        top_r = r > top_r ? r : top_r;
      }
    }
    if (!(wl > 0 && wr > 0)) return -__builtin_inf();
    if (criterion == StumpCriterion::gini) return gl / wl + gr / wr;
    if (criterion == StumpCriterion::entropy) return gl - x_log_x(wl) + (gr - x_log_x(wr));
    return top_l + top_r;
  }

  EINKORN_INLINE void score_here(int64_t at) {
    take(at, 0);
    if (has_missing) take(at, 1);
  }

  EINKORN_INLINE void take(int64_t at, int with_missing) {
    const double here = evaluate(with_missing != 0);
    if (!(here > score[with_missing] + tie)) return;
    score[with_missing] = here;
    position[with_missing] = static_cast<double>(at);
    for (int64_t c = 0; c < classes; ++c)
      best_left[with_missing * classes + c] = with_missing != 0 ? left[c] + missing[c] : left[c];
  }

  EINKORN_INLINE void finish() {
    const bool use_left = position[1] >= 0 && (position[0] < 0 || score[1] > score[0] + tie);
    found[0] = score[use_left];
    found[1] = position[use_left];
    found[2] = use_left;
    if (use_left)
      for (int64_t c = 0; c < classes; ++c) best_left[c] = best_left[classes + c];
  }
};

}  // namespace EINKORN_ISA
}  // namespace einkorn
