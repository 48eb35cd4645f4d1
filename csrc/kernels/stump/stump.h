// Decision stumps and AdaBoost: rows in order of every feature, the best split of weighted rows, a round's new weights.
//
//   presort             order[f, :] = the rows by rising x[:, f], equal values by rising row, NaN last; the sign bit of an entry
//                       is set where a larger value or NaN follows: there a threshold may stand. columns = x transposed.
//   stump_search        best split "x[:, f] <= threshold" of all features, by class sums L[c] of the left and R[c] of the right:
//     gini              largest sum L^2 / sum L + sum R^2 / sum R, the least weighted Gini impurity
//     entropy           largest sum_c L log L - WL log WL + the same of R, WL = sum L
//     error             largest max L + max R, the least weighted error
//   stump_search_binned the same over codes: left where code <= position
//   adaboost_update     e = sum of weights where h != y / sum of weights;  a = rate (log((1 - e) / e) + log(classes - 1));
//                       w *= exp(a) where h != y, at least 2^-52, then divided so that the sum is 1. Where exp(a)
//                       would overflow, the other weights are divided by it instead.
//
//   place = (feature, position, missing_left): the left rows are order[feature, 0 .. position], and the feature's missing rows
//   when missing_left. (-1, -1, 0) where no feature has two values. sums = L, then R. Ties (scores within 1e-12 of the sum of
//   all weights): the lowest feature, missing rows on the right, the lowest position.
//
//   TrAdaBoost (Dai et al. 2007): the first `source` rows come from elsewhere; e and a are of the rows after them, and a source
//   row that h misses is multiplied by source_factor instead. With error_floor > 0, a is that of e kept within [error_floor,
//   1 - 1 / classes - error_floor], and no error ends the rounds.
//
// Shapes       x [rows, features] any strides, order int32 [features, rows], columns [features, rows], missing int64 [features]:
//              NaN of each feature; codes [features, rows], uint8 or uint16, bins int32 [features]: codes 0 .. bins - 1 are
//              values, missing_code is a missing value; the op has checked that there are no others.
// Weights      float32, at least 0. With two classes the sign is the class: -w for class 0, +w for class 1, and target is not
//              read. With more, target int32 [rows] holds classes in [0, classes): op and binding have checked.
// h            in adaboost_update the stump (x <= threshold ? left : right) over a column x, or `predicted` where x is null.
// Aliasing     none.
// Zero sizes   no rows or no features: place is (-1, -1, 0), sums are those of all rows as R; the update leaves stats NaN.
// NaN          in x it is a missing value. Weights are finite.
// Accumulates  class sums in double: of float32 weights that differ by less than 2^29 they are exact.
// Stats        (e, a, sum of the new weights before they were divided, number of rows on the left). e <= 0: a = 1, and
//              e >= 1 - 1 / classes: a = 0; in both cases weights stay as they were, unless error_floor > 0.
// Determinism  a task is a feature, or a block of rows whose sums are added in order: same bits for any thread count.
// Cost         presort: 3 (float) or 6 (double) passes of a radix sort, fewer where digits are all alike. Search: 4 bytes of order
//              and 4 of weights at a random place, a division, for each row and feature. Binned: 1 or 2 bytes of codes and 4 of
//              weights in order. Update: reads x, target, weights twice, writes weights and signed weights.

#pragma once

#include <stdint.h>

#include "kernels/table.h"
#include "runtime/carver.h"
#include "runtime/parallel.h"

namespace einkorn {

enum class StumpCriterion : int { gini, entropy, error };

template <class T>
struct Presort {
  int32_t* order;
  T* columns;
  int64_t* missing;
  const T* x;
  int64_t rows, features;
  int64_t row_stride, feature_stride;
  Workspace ws;  // scratch: PresortParts
};

struct StumpSearch {
  int64_t* place;
  double* sums;
  const int32_t* order;
  const int64_t* missing;
  const float* weights;
  const int32_t* target;  // null for two classes
  int64_t rows, features, classes;
  StumpCriterion criterion;
  Workspace ws;  // scratch: StumpParts
};

struct StumpSearchBinned {
  int64_t* place;
  double* sums;
  const void* codes;
  const int32_t* bins;
  const float* weights;
  const int32_t* target;
  int64_t rows, features, classes;
  int64_t missing_code;
  int64_t most_bins;  // of any feature
  int code_bytes;
  StumpCriterion criterion;
  Workspace ws;  // scratch: BinnedStumpParts
};

template <class T>
struct AdaBoostUpdate {
  double* stats;
  double* weights;
  float* signed_weights;
  const int32_t* target;
  const T* x;  // null: predicted
  const int32_t* predicted;
  int64_t rows, x_stride;
  double threshold;
  bool missing_left;
  int32_t left, right;
  int64_t classes;
  double learning_rate;
  int64_t source;
  double source_factor;
  double error_floor;
  Workspace ws;  // scratch: AdaBoostParts
};

constexpr int64_t kStumpBlock = 16384;  // rows of a partial sum

inline namespace EINKORN_ISA {

inline int64_t stump_blocks(int64_t rows) {
  return (rows + kStumpBlock - 1) / kStumpBlock;
}

// Of a feature, for each thread.
template <class T>
struct PresortColumn {
  T* keys[2];  // as unsigned integers of the same size
  int32_t* place[2];

  PresortColumn(Carver& c, const Presort<T>& k) {
    for (T*& key : keys) key = c.take<T>(k.rows);
    for (int32_t*& p : place) p = c.take<int32_t>(k.rows);
  }
};

template <class T>
struct PresortParts {
  PartsOfEach<PresortColumn<T>, Presort<T>> columns;

  PresortParts(Carver& c, const Presort<T>& k) : columns(c.each<PresortColumn<T>>(k.ws.threads, k)) {}
};

struct StumpParts {
  double* partial;              // [blocks, classes]
  double* total;                // [classes]
  PartOfEach<double> features;  // of each feature four numbers and four rows of class sums

  template <class Args>
  StumpParts(Carver& c, const Args& k)
      : partial(c.take<double>(stump_blocks(k.rows) * k.classes)),
        total(c.take<double>(k.classes)),
        features(c.take_each<double>(k.features, 4 + 4 * k.classes)) {}
};

struct BinnedStumpParts : StumpParts {
  PartOfEach<double> histograms;  // [codes, classes] of each thread

  BinnedStumpParts(Carver& c, const StumpSearchBinned& k)
      : StumpParts(c, k),
        histograms(c.take_each<double>(k.ws.threads, k.classes * (k.code_bytes == 1 ? 256 : 65536))) {}
};

constexpr int64_t kAdaBoostSums = 5;

struct AdaBoostParts {
  double* partial;  // [blocks, kAdaBoostSums]

  template <class T>
  AdaBoostParts(Carver& c, const AdaBoostUpdate<T>& k)
      : partial(c.take<double>(stump_blocks(k.rows) * kAdaBoostSums)) {}
};

}  // namespace EINKORN_ISA

#define EINKORN_STUMP_KERNELS(X) \
  X(presort, Presort)            \
  X(adaboost_update, AdaBoostUpdate)

#define EINKORN_STUMP_INDEX_KERNELS(X) \
  X(stump_search, StumpSearch)         \
  X(stump_search_binned, StumpSearchBinned)

EINKORN_FLOAT_TABLE(StumpKernels, EINKORN_STUMP_KERNELS)
EINKORN_INDEX_TABLE(StumpIndexKernels, EINKORN_STUMP_INDEX_KERNELS)

}  // namespace einkorn
