// Growing one boosted tree over codes, and what goes with it: codes by row, scores, leaves of other rows.
//
//   code_rows         by_row[r, f] = codes[f, r], missing values as n_bins[f];  *bad = the first place in codes whose code is
//                     neither a bin nor missing, or -1
//   tree_grow         one whole tree in one call. A call for each split would cost more than the split itself: with 1,000
//                     rows a node takes 2 us, and a launch from Python as much.
//   tree_apply_codes  leaf[r] = the node in which row r ends, from its codes
//   tree_update       scores[r] += value[leaf[r]]
//
// Sums       G, H: sums of gradients and hessians of a node's rows (H: their number, without hessians)
// Score      S(G)^2 / (H + l2),  S(G) = sign(G) max(|G| - alpha, 0);  gain = score(left) + score(right) - score(node)
//            With monotone signs or a step bound, of a leaf value w: -(2 G w + (H + l2) w^2 + 2 alpha |w|)
// Value      w = -S(G) / (H + l2), at most `step` in size (0: no bound) and within the node's bounds; value = rate w
// Split      code <= split goes left; missing ones where the gain is larger, or, with none in the node, to the child with
//            more rows. Of equal gains the first feature's wins, missing right before left, the smaller code: gains that
//            differ by at most 1e-6 of themselves and 1e-13 of the scores are equal, so that scales of gradients do not decide.
//            A split counts if both children have at least min_samples rows and min_weight of H, H + l2 > 0, and its gain
//            exceeds min_gain and 1e-13 of the scores' size (less is rounding).
// Categories the last bin is that of others. Up to `onehot` categories in the node: one is parted from the rest. Else sorted
//            by G / (H + cat_smooth), the first 1, 2, ... or the last, up to max_categories and half of them (rounded up);
//            l2 + cat_l2 in the children's score. Others and missing ones stay with the rest. The side with more rows is the
//            right child, where categories go that no row of the node has; or, if the node has rows of others, theirs is.
// Monotone   sign +1: w(left) <= w(right), -1: >=. The middle of both bounds what is below them.
// Groups     a node may use features of those groups that hold all features used above it.
// Sampling   of m features round(share m), at least one: those with the smallest words. Words of feature f: f of the stream
//            (seed; philox.h) from counter 2^40 tree + depth (n / 4 + 1) for levels, 2^39 more + node (n / 4 + 1) for nodes.
// Order      leaf-wise: the leaf with the largest gain (of equal ones the first made) is split next; by depth: the first made.
// Shapes     by_row [rows, width], width a multiple of 8; node arrays have room for 2 max_leaves - 1; categories [nodes,
//            words] with words >= max n_bins / 32 over categorical features; leaf [rows].
// Codes      uint8, missing 255, or uint16, missing 65535; n_bins at most that. The op has checked every index.
// Rows       null: all. Else ascending; other rows' leaf is not written.
// Numbers    gradients become whole multiples of 2^-30 of a power of two above the largest; sums are exact. So a tree is
//            the same bits for any number of threads and any way to sum, and a child may be had by subtraction. With `wide`
//            of 2^-60, for hessians that differ by more than 2^20: without it *nodes = -3 then, and nothing is grown.
// NaN        *nodes = -1 for a gradient, -2 for a hessian that is not finite (or a negative hessian).
// Zero sizes no rows to grow from are refused by the op; no features give a single leaf.
// Cost       for the root and the smaller child of every split: rows x features updates of a histogram, two or three
//            numbers each; for every node 4 to 10 FLOP a bin; for every level a byte and 8 bytes a row (partition).

#pragma once

#include "kernels/layout.h"
#include "kernels/table.h"
#include "runtime/carver.h"
#include "runtime/parallel.h"

namespace einkorn {

struct CodeRows {
  void* by_row;
  int64_t* bad;
  const void* codes;
  const int32_t* n_bins;
  int64_t rows, n, width;
  int code_bytes;
  Workspace ws;  // scratch: CodeRowsParts
};

constexpr int64_t kCodeRowsBlock = 4096;

inline namespace EINKORN_ISA {

struct CodeRowsParts {
  int64_t* bad;  // of each block the first code that does not fit, or -1

  CodeRowsParts(Carver& c, const CodeRows& k) : bad(c.take<int64_t>((k.rows + kCodeRowsBlock - 1) / kCodeRowsBlock)) {}
};

}  // namespace EINKORN_ISA

// What *nodes says when no tree was grown.
enum GrowFailure : int { kBadGradient = -1, kBadHessian = -2, kNeedsWide = -3 };

// All but the gradients.
struct TreeGrowth {
  int64_t* nodes;  // how many there are
  int32_t* feature;
  int32_t* code;
  int32_t* left;
  int32_t* right;
  uint8_t* missing_left;
  uint32_t* categories;
  double* value;
  double* gain;
  double* cover;
  int64_t* count;
  int32_t* leaf;
  const void* codes;
  const void* by_row;
  // In the memory of the CPU on every engine, but for `rows`: launches go by them.
  const int32_t* n_bins;
  const uint8_t* categorical;
  const int32_t* rows;      // null: all
  const int32_t* features;  // those in use; null: all
  const int32_t* monotone;  // null: none
  const uint32_t* groups;   // [group_count, group_words]; null: no constraint
  int64_t all_rows, row_count, n, width, feature_count;
  int64_t words, group_count, group_words;
  int64_t max_leaves, max_depth, min_samples;
  int64_t max_categories, onehot;
  int64_t slots;  // histograms that may be kept
  double min_weight, alpha, l2, min_gain, step, rate, by_level, by_node, cat_smooth, cat_l2;
  uint64_t seed, tree;
  int code_bytes;
  bool depth_first;
  bool wide;     // sums in two parts
  Workspace ws;  // scratch: GrowPlan (tree_grow_plan.h)
};

template <class T>
struct TreeGrow : TreeGrowth {
  const T* gradients;
  const T* hessians;  // null: ones
};

struct TreeApplyCodes {
  int32_t* leaf;
  const void* codes;
  const int32_t* feature;
  const int32_t* code;
  const int32_t* left;
  const int32_t* right;
  const uint8_t* missing_left;
  const uint32_t* categories;
  const uint8_t* categorical;
  int64_t rows, words;
  int code_bytes;
  Workspace ws;
};

template <class T>
struct TreeUpdate {
  T* scores;
  const int32_t* leaf;
  const double* value;
  int64_t rows, stride;
  Workspace ws;
};

#define EINKORN_TREE_GROW_KERNELS(X) \
  X(tree_grow, TreeGrow)             \
  X(tree_update, TreeUpdate)

#define EINKORN_TREE_GROW_INDEX_KERNELS(X) \
  X(code_rows, CodeRows)                   \
  X(tree_apply_codes, TreeApplyCodes)

EINKORN_FLOAT_TABLE(TreeGrowKernels, EINKORN_TREE_GROW_KERNELS)
EINKORN_INDEX_TABLE(TreeGrowIndexKernels, EINKORN_TREE_GROW_INDEX_KERNELS)

}  // namespace einkorn
