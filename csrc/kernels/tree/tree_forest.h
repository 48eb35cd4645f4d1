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
// ascending, missing values right before left. Splits are equal when their gains differ by at most 1e-9 of the gain and
// 1e-13 of the score: so neither the scale of target or weight nor an offset of target decides. random_thresholds: one threshold a feature, uniform between the node's
// smallest and largest value (extremely randomized trees). A node is a leaf when it is pure, at max_depth, has fewer than
// min_samples_split rows, no split leaves min_samples_leaf rows and min_weight_leaf weight on both sides, or the best gain
// is below min_impurity_decrease times the weight of the tree's rows. Zero gain does split.
//
// Codes        [features, rows] uint8 or uint16, code <= k exactly when x <= high[k]; missing_code: NaN, tried on either
//              side, and apart from all values (threshold inf). A split whose node has none sends them to the larger side.
// Bins         those of feature f at offsets[f] to offsets[f + 1] of low and high: the values a bin's rows may have. A
//              threshold is the middle between the last bin on the left and the first one on the right that the node has.
// Shapes       target [rows], a class number where classes > 0; weight [rows], counts [trees, rows] and class_weight
//              [trees, classes] or null: ones;
//              seeds [trees]; the outputs [trees, capacity], value [trees, capacity, max(classes, 1)], node_count [trees].
//              value is the distribution of classes, or the mean target. count is rows (not counts), cover their weight.
// Order        nodes depth first, left before right; with max_leaf_nodes > 0 the largest gain first, children side by side.
// Zero sizes   a tree without rows of weight has node_count 0.
// Checks       node_count[t] = kCodeOutOfRange for all trees when a code is neither a bin nor missing; kTooHeavy when
//              counts without weights sum to 2^31; kNoRoom when a tree has more than `capacity` nodes (2 * rows - 1 is
//              enough). The op has seen to the rest: classes in range, weight finite and >= 0.
// Accumulates  counts without weights in whole numbers, everything else in double, rows in ascending order; targets less
//              the node's mean (squared_error, poisson), so that sums do not cancel. The op brings targets near 1.
// Determinism  a tree is a task with a Philox stream of its own: same bits for any thread count. Bootstrap: words from
//              counter 0 of the seed; nodes: from counter 2^40.
// Cost         a level of a tree: for each feature looked at one read of a code and one addition a row, then a division a
//              distinct value. Bytes: rows of 8 (counts), 16 (weights) or 24 (regression), moved once a level.

#pragma once

#include "kernels/layout.h"
#include "kernels/table.h"
#include "runtime/carver.h"
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
  Workspace ws;  // scratch: GrowForestParts
};

// Whether rows count other than a whole number of times.
[[gnu::always_inline]] inline bool weighted(const GrowForest& k) {
  return k.weight != nullptr || k.class_weight != nullptr;
}

inline namespace EINKORN_ISA {

constexpr int64_t kForestWaitingWords = 10;  // of a node that waits, as the kernel has it
constexpr int64_t kForestDraws = 256;        // random words drawn at once
constexpr int64_t kForestLogs = 4096;        // x ln x for whole x below

// What a thread needs to grow a tree.
struct ForestParts {
  int64_t* rows;  // of as many words as a row has
  int64_t* spare;
  int64_t* bins;  // [codes][words]
  int32_t* present;
  double *weight, *a, *b, *score;
  int64_t* number;
  double* totals;
  int32_t* features;
  int64_t* queue;
  uint32_t* words;
  uint64_t* bits;     // of codes
  uint64_t* summary;  // which words of bits are not zero, for 16-bit codes
  double* logs;

  ForestParts(Carver& c, const GrowForest& k) {
    const int64_t room = k.max_bins + 2, codes = k.code_bytes == 1 ? 256 : 65536;
    const int64_t code_words = k.classes == 0 ? 3 : !weighted(k) ? k.classes : k.classes + 1;
    const int64_t row_words = k.classes == 0 ? 3 : !weighted(k) ? 1 : 2;
    rows = c.take<int64_t>(k.rows * row_words);
    spare = c.take<int64_t>(k.rows * row_words);
    bins = c.take<int64_t>(codes * code_words);
    present = c.take<int32_t>(room);
    weight = c.take<double>(room);
    a = c.take<double>(room);
    b = c.take<double>(room);
    score = c.take<double>(room);
    number = c.take<int64_t>(room);
    totals = c.take<double>((k.classes + 1) * 3);
    features = c.take<int32_t>(k.features);
    const int64_t waiting = k.max_leaf_nodes > 0 && k.max_leaf_nodes < k.rows ? k.max_leaf_nodes : k.rows;
    queue = c.take<int64_t>((waiting + 2) * kForestWaitingWords);
    words = c.take<uint32_t>(kForestDraws);
    bits = c.take<uint64_t>(codes / 64);
    summary = c.take<uint64_t>(k.code_bytes == 1 ? 0 : codes / 4096);
    logs = c.take<double>(kForestLogs);
  }
};

struct GrowForestParts {
  PartsOfEach<ForestParts, GrowForest> trees;

  GrowForestParts(Carver& c, const GrowForest& k) : trees(c.each<ForestParts>(k.ws.threads, k)) {}
};

}  // namespace EINKORN_ISA

#define EINKORN_TREE_FOREST_INDEX_KERNELS(X) \
  X(bootstrap_counts, BootstrapCounts)       \
  X(grow_forest, GrowForest)

EINKORN_INDEX_TABLE(TreeForestIndexKernels, EINKORN_TREE_FOREST_INDEX_KERNELS)

}  // namespace einkorn
