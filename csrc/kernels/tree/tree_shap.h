// Shapley values of features under a sequence of decision trees: exact, path-dependent TreeSHAP.
//
//   out[r, f, o] = sum over trees of the Shapley value of feature f in the game
//                  v(S) = the tree's value for row r when only the features in S are known: at a split on another feature
//                         both children count, by their shares of the training rows
//   out[r, features, o] = expected[o]
//
// Source       Lundberg, Erion and Lee, "Consistent individualized feature attribution for tree ensembles", 2018.
// Shapes       x [rows, features], out [rows, features + 1, outputs], row-major. The trees are the arrays of
//              einkorn.boosting.Trees; share [nodes] is a node's part of its parent's cover, in [0, 1] (1 at roots);
//              expected [outputs] is the base plus the trees' mean values. points [most][most][2]: row n - 1 holds the
//              n places and weights of Gauss-Legendre integration over [0, 1]; largest: nodes of the largest tree,
//              deepest: splits of the longest path.
// Aliasing     none.       Zero sizes  no rows: nothing happens; no trees: zeros and expected.      NaN  as tree_predict.
// Accumulates  in double, tree by tree, leaf by leaf. Exact but for rounding while a path has at most 2 most features.
// Writes       all of out. Trees are trusted: the public function checks them.
// Determinism  same bits for any thread count: 64 rows are one task.
// Cost         about 3 D^2 operations a row for each leaf with D different features on its path. Bytes: out twice.

#pragma once

#include "kernels/layout.h"
#include "kernels/table.h"
#include "runtime/carver.h"
#include "runtime/parallel.h"

namespace einkorn {

template <class T>
struct TreeShap {
  double* out;
  const T* x;
  const double* expected;
  const int64_t* offsets;
  const int32_t* outputs_of;
  const int32_t* feature;
  const double* threshold;
  const int32_t* left;
  const int32_t* right;
  const uint8_t* missing_left;
  const int32_t* category_offset;
  const int32_t* category_words;
  const uint32_t* categories;
  const double* value;
  const double* share;
  const double* points;
  int64_t rows, features, outputs, width, trees, most, largest, deepest;
  Workspace ws;
};

constexpr int64_t kShapRows = 64;

// In elements of 8 bytes, for each thread: rows by feature, sums, the rows that go right at each split, a path and its features
// with their rows and shares, and four numbers of each for a vector of at most 8 rows.
inline namespace EINKORN_ISA {

constexpr int64_t kMostShapLanes = 8;

// What a thread needs.
struct ShapMemory {
  double* x;        // [features][kShapRows]
  double* sums;     // [features][outputs][kShapRows]
  uint64_t* right;  // [largest] rows that go right at a split
  int64_t* path;    // [deepest] 2 * split, + 1 to the right
  int64_t* feature;
  uint64_t* on;  // rows whose values of the feature lead along the path
  double* share;
  double* in_lanes;  // [deepest][4][lanes] o, factor, product before it, integral

  template <class T>
  ShapMemory(Carver& c, const TreeShap<T>& k) {
    x = c.take<double>(k.features * kShapRows);
    sums = c.take<double>(k.features * k.outputs * kShapRows);
    right = c.take<uint64_t>(k.largest);
    path = c.take<int64_t>(k.deepest);
    feature = c.take<int64_t>(k.deepest);
    on = c.take<uint64_t>(k.deepest);
    share = c.take<double>(k.deepest);
    in_lanes = c.take<double>(k.deepest * 4 * kMostShapLanes);
  }
};

template <class T>
struct TreeShapParts {
  PartsOfEach<ShapMemory, TreeShap<T>> memory;

  TreeShapParts(Carver& c, const TreeShap<T>& k) : memory(c.each<ShapMemory>(k.ws.threads, k)) {}
};

}  // namespace EINKORN_ISA

#define EINKORN_TREE_SHAP_KERNELS(X) X(tree_shap, TreeShap)

EINKORN_FLOAT_TABLE(TreeShapKernels, EINKORN_TREE_SHAP_KERNELS)

}  // namespace einkorn
