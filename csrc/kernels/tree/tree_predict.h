// Raw scores of a sequence of decision trees, and the leaves that rows reach.
//
//   out[r, o] = base[o] + sum over trees t in [first, last), in order, of t's leaf value of row r
//   leaves[r, t - first] = the node number, within tree t, of the leaf that row r reaches
//
// A numeric split sends x left when x <= threshold, NaN as the split says; a categorical one sends it left when int(x)
// is in its set (never when int(x) < 0 or x >= 2^31), NaN as the split says.
//
// Shapes       x [rows, features], row-major; out [rows, outputs]; leaves [rows, last - first]. Either output may be
//              null. The trees come packed (python/einkorn/boosting/_layout.py):
//   used             [used] the features that splits look at, ascending; splits name positions in this list
//   trees            [trees][kTreeColumns], the columns are in TreeColumn
//   nodes            [nodes][4] threshold as T in the first 4 or 8 bytes (categorical: place of the set), then feature
//                    with the two flag bits, then the left child; the right one follows it. A leaf leads to itself:
//                    threshold inf, feature 0, no flags.
//   node_leaf        [nodes] number of the leaf, among all trees, at nodes that are leaves
//   leaf_node        [leaves] node number within the tree as the user knows it
//   leaf_value       [leaves + 64][width], width 1, or outputs when a tree's output is -1; the last 64 are padding
//   split_place      [splits][2] feature, and place of the set with the flag of NaN; trees of 2 to 64 leaves only
//   split_threshold  [splits]
//   split_mask       [splits] bit l is 0 where going right rules out leaf l of the tree, leaves counted from the left
//   sets             at a set's place its number of words, then the words, bit c % 32 of word c / 32 for category c
// Aliasing     none.       Zero sizes  no rows: nothing happens; no trees: out = base.      NaN, inf  as said above.
// Accumulates  in double, tree by tree. accumulate: starts from what out holds instead of base, so that sums may be
//              continued with further trees and have the same bits.
// Writes       all of out and leaves. The contents of the packed arrays are trusted: the public function checks trees.
// Determinism  same bits for any thread count, instruction set and split into calls.
// Cost         a split of a small tree costs a comparison and an AND a row, whether or not the row meets it; a larger
//              tree costs about 8 operations a level. Bytes: x once, out once, and the packed trees once every 64 rows.

#pragma once

#include "kernels/layout.h"
#include "kernels/table.h"
#include "runtime/carver.h"
#include "runtime/parallel.h"

namespace einkorn {

template <class T>
struct TreePredict {
  double* out;
  int32_t* leaves;
  const T* x;
  const double* base;
  const int32_t* used;
  const int32_t* trees;
  const int32_t* nodes;
  const int32_t* node_leaf;
  const int32_t* leaf_node;
  const double* leaf_value;
  const int32_t* split_place;
  const T* split_threshold;
  const int64_t* split_mask;
  const int32_t* sets;
  int64_t rows, features, outputs, width, used_features, first, last;
  bool accumulate;
  Workspace ws;
};

enum TreeColumn {
  kTreeNode,         // first node
  kTreeDepth,        // splits above the deepest leaf
  kTreeSplit,        // first of its splits: those that send NaN left, those that send it right, categorical ones
  kTreeMissingLeft,  // number of each
  kTreeMissingRight,
  kTreeCategorical,
  kTreeLeaf,     // first leaf
  kTreeLeaves,   // number of leaves
  kTreeOutput,   // column of out, -1: all
  kTreeHasSets,  // whether any split is categorical
  kTreeColumns = 12,
};

constexpr int64_t kTreeBlock = 64;  // rows that go through the trees together

// In bytes, for each thread: a block of x feature by feature, and its sums.
inline namespace EINKORN_ISA {

// What a thread needs for a block of rows.
template <class T>
struct TreePredictBlock {
  double* sums;  // [outputs][kTreeBlock]
  T* block;      // [used_features, at least 1][kTreeBlock]

  TreePredictBlock(Carver& c, const TreePredict<T>& k)
      : sums(c.take<double>(k.outputs * kTreeBlock)),
        block(c.take<T>((k.used_features > 0 ? k.used_features : 1) * kTreeBlock)) {}
};

template <class T>
struct TreePredictParts {
  PartsOfEach<TreePredictBlock<T>, TreePredict<T>> blocks;

  TreePredictParts(Carver& c, const TreePredict<T>& k) : blocks(c.each<TreePredictBlock<T>>(k.ws.threads, k)) {}
};

}  // namespace EINKORN_ISA

#define EINKORN_TREE_PREDICT_KERNELS(X) X(tree_predict, TreePredict)

EINKORN_FLOAT_TABLE(TreePredictKernels, EINKORN_TREE_PREDICT_KERNELS)

}  // namespace einkorn
