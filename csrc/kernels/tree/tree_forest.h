// Decision trees of classification and regression forests, many in one call, grown from integer codes.
//
//   bootstrap_counts  counts[t, r] = how often row r is among `draws` rows drawn with replacement for tree t
//   grow_forest       tree t from the rows of weight counts[t, r] * weight[r] * class_weight[t, class of r] > 0
//
// A node with rows of weight W is split at (feature, code) so that the criterion's gain is largest,
//
//   gain = G(left) + G(right) - G(node)      gini           G = (sum_k w_k^2) / W
//   w_k  weight of class k                   entropy        G = sum_k w_k ln w_k - W ln W, gain / ln 2
//   s    sum of weight * target              squared_error  G = s^2 / W
//                                            poisson        G = s ln(s / W); both sums above 0
//
// among max_features features drawn without replacement; when those are constant in the node, drawing goes on until one is
// not. Of equal splits the first found wins: features in the order drawn (ascending if all are looked at), codes
// ascending, missing values right before left. random_thresholds: one threshold a feature, uniform between the node's
// smallest and largest value (extremely randomized trees). A node is a leaf when it is pure, at max_depth, has fewer than
// min_samples_split rows, no split leaves min_samples_leaf rows and min_weight_leaf weight on both sides, or the best gain
// is below min_impurity_decrease times the weight of the tree's rows. Zero gain does split.
//
// Codes        [features, rows] uint8 or uint16, code <= k exactly when x <= high[k]; missing_code: NaN, tried on either
//              side, and apart from all values (threshold inf). A split whose node has none sends them to the larger side.
// Bins         those of feature f at offsets[f] to offsets[f + 1] of low and high: the values a bin's rows may have. A
//              threshold is the middle between the last bin on the left and the first one on the right that the node has.
// Shapes       target [rows], a class number where classes > 0; weight [rows], counts [trees, rows] and class_weight
//              [trees, classes] or null: ones; //              seeds [trees]; the outputs [trees, capacity], value [trees, capacity, max(classes, 1)], node_count [trees].
//              value is the distribution of classes, or the mean target. count is rows (not counts), cover their weight.
// Order        nodes depth first, left before right; with max_leaf_nodes > 0 the largest gain first, children side by side.
// Zero sizes   a tree without rows of weight has node_count 0.
// Checks       node_count[t] = kCodeOutOfRange for all trees when a code is neither a bin nor missing; kTooHeavy when
//              counts without weights sum to 2^31; kNoRoom when a tree has more than `capacity` nodes (2 * rows - 1 is
//              enough). The op has seen to the rest: classes in range, weight finite and >= 0.
// Accumulates  counts without weights in whole numbers, everything else in double, rows in ascending order.
// Determinism  a tree is a task with a Philox stream of its own: same bits for any thread count. Bootstrap: words from
//              counter 0 of the seed; nodes: from counter 2^40.
// Cost         a level of a tree: for each feature looked at one read of a code and one addition a row, then a division a
//              distinct value. Bytes: rows of 8 (counts), 16 (weights) or 24 (regression), moved once a level.

#pragma once

#include "kernels/layout.h"
#include "kernels/table.h"
#include "runtime/parallel.h"

namespace einkorn {

enum class ForestCriterion : int { gini, entropy, squared_error, poisson };

enum ForestFailure : int { kCodeOutOfRange = -1, kTooHeavy = -2, kNoRoom = -3 };

struct BootstrapCounts {
  uint16_t* counts;  // [trees, rows]
  const int64_t* seeds;
  int64_t trees, rows, draws;
  Workspace ws;
};

struct GrowForest {
  int64_t* node_count;
  int32_t* feature;
  double* threshold;
  int32_t* left;
  int32_t* right;
  uint8_t* missing_left;
  double* value;
  double* gain;
  double* cover;
  int64_t* count;
  const void* codes;
  const double* target;
  const double* weight;
  const uint16_t* counts;
  const double* class_weight;
  const int64_t* offsets;
  const double* low;
  const double* high;
  const int64_t* seeds;
  int64_t trees, rows, features, capacity, classes;
  int64_t max_bins;  // of any feature
  int code_bytes;
  ForestCriterion criterion;
  bool random_thresholds;
  int64_t max_features, max_depth, max_leaf_nodes;  // the last two: negative for none
  int64_t min_samples_split, min_samples_leaf;
  double min_weight_leaf, min_impurity_decrease;
  Workspace ws;  // scratch: grow_forest_scratch
};

// What a thread needs to grow a tree, in bytes from the start of its piece of scratch.
struct ForestScratch {
  int64_t rows, spare, bins, present, weight, a, b, score, number, totals, features, queue, words, bits, logs, end;
};

// Where a piece of so many bytes begins, which moves `at` to its end. Always inline, all of these: see CheckWeakSymbols.
[[gnu::always_inline]] inline int64_t forest_piece(int64_t& at, int64_t bytes) {
  const int64_t start = at;
  at += (bytes + 63) / 64 * 64;
  return start;
}

// Whether rows count other than a whole number of times.
[[gnu::always_inline]] inline bool weighted(const GrowForest& k) {
  return k.weight != nullptr || k.class_weight != nullptr;
}

[[gnu::always_inline]] inline ForestScratch forest_scratch(const GrowForest& k) {
  int64_t at = 0;
  const int64_t bins = k.max_bins + 2, codes = k.code_bytes == 1 ? 256 : 65536;
  const int64_t words = k.classes == 0 ? 3 : !weighted(k) ? k.classes : k.classes + 1;
  const int64_t row = k.classes == 0 ? 24 : !weighted(k) ? 8 : 16;
  ForestScratch s;
  s.rows = forest_piece(at, k.rows * row);
  s.spare = forest_piece(at, k.rows * row);
  s.bins = forest_piece(at, (codes > 4 ? codes : 4) * words * 8);
  s.present = forest_piece(at, bins * 4);
  s.weight = forest_piece(at, bins * 8);
  s.a = forest_piece(at, bins * 8);
  s.b = forest_piece(at, bins * 8);
  s.score = forest_piece(at, bins * 8);
  s.number = forest_piece(at, bins * 8);
  s.totals = forest_piece(at, (k.classes + 1) * 3 * 8);
  s.features = forest_piece(at, k.features * 4);
  s.queue =
      forest_piece(at, ((k.max_leaf_nodes > 0 && k.max_leaf_nodes < k.rows ? k.max_leaf_nodes : k.rows) + 2) * 80);
  s.words = forest_piece(at, 256 * 4);
  s.bits = forest_piece(at, (codes / 64 + codes / 4096 + 1) * 8);
  s.logs = forest_piece(at, 4096 * 8);
  s.end = at;
  return s;
}

[[gnu::always_inline]] inline int64_t grow_forest_scratch(const GrowForest& k, int threads) {
  return forest_scratch(k).end * threads;
}

#define EINKORN_TREE_FOREST_INDEX_KERNELS(X) \
  X(bootstrap_counts, BootstrapCounts)       \
  X(grow_forest, GrowForest)

EINKORN_INDEX_TABLE(TreeForestIndexKernels, EINKORN_TREE_FOREST_INDEX_KERNELS)

}  // namespace einkorn
