// TreeSHAP path by path, 64 rows at a time, with an integral in place of a sum over subsets.
//
// On the way to a leaf with value v stand D different features. Of feature j let z_j be the product of its children's shares
// along the path, and o_j = 1 for a row that all of its splits there would lead to this leaf, else 0. The leaf's part in the
// Shapley value of feature i is v (o_i - z_i) times the sum over subsets T of the other features of
//
//   |T|! (D - 1 - |T|)! / D!  prod over j in T of o_j  prod over the rest of z_j
//     =  integral over t from 0 to 1 of  prod over j != i of (t o_j + (1 - t) z_j)
//
// because the integral of t^a (1 - t)^b is a! b! / (a + b + 1)!. The integrand is a polynomial of degree D - 1: ceil(D / 2)
// points of Gauss and Legendre integrate it exactly. All terms are positive, so nothing cancels, and a share of 0 does no
// harm; the products without j come from products of those before and of those behind.
//
//   1. each split, once for all rows: the rows that go right, a bit each
//   2. each leaf: the features of its path, their bits and shares, merged
//   3. each vector of rows: the integral, features times points, rows in lanes
//
// 2,000 rows, 100 trees of 31 leaves on 28 features, 2 threads of a machine in use, medians in ms: avx512 17, avx2 24,
// baseline 104; LightGBM 4.7, whose Algorithm 2 goes down the trees row by row, 317 on a model of that size.

#include "kernels/tree/tree_shap.h"

#include "kernels/instantiate.h"
#include "kernels/tree/tree_split.h"
#include "simd/lanes.h"

namespace einkorn::EINKORN_ISA {

namespace {

using Row = Vec<double>;
constexpr int kL = kLanes<double>;
static_assert(kL <= kMostShapLanes);

template <class T>
EINKORN_INLINE uint64_t rows_to_the_right(const TreeShap<T>& k, int64_t node, const double* x, int64_t rows) {
  const bool missing_right = k.missing_left[node] == 0;
  const int32_t set = k.category_offset[node];
  uint64_t bits = 0;
  for (int64_t r = 0; r < rows; r += kL) {
    const Row value = load(x + r);
    IntVec<double> right = value > k.threshold[node];
    if (set >= 0) right = ~in_set<double>(value, k.categories + set, k.category_words[node]);
    right = missing_right ? right | (value != value) : right & (value == value);
    bits |= bits_of_lanes<double>(right) << r;
  }
  return bits;
}

// The path's features, each once: how many there are.
template <class T>
EINKORN_INLINE int64_t merge_path(const TreeShap<T>& k, int64_t first, int64_t depth, const ShapMemory& m) {
  int64_t n = 0;
  for (int64_t i = 0; i < depth; ++i) {
    const int64_t node = m.path[i] >> 1;
    const bool right = (m.path[i] & 1) != 0;
    const uint64_t on = right ? m.right[node] : ~m.right[node];
    const double share = k.share[first + (right ? k.right : k.left)[first + node]];
    int64_t e = 0;
    while (e < n && m.feature[e] != k.feature[first + node]) ++e;
    if (e == n) {
      m.feature[e] = k.feature[first + node];
      m.on[e] = on;
      m.share[e] = share;
      ++n;
    } else {
      m.on[e] &= on;
      m.share[e] *= share;
    }
  }
  return n;
}

// The integrals for one vector of rows. kCount: the number of features where the compiler may know it, else 0.
template <int kCount>
EINKORN_INLINE void integrate(int64_t count, const double* points, int64_t n_points, const ShapMemory& m, int64_t row) {
  const int64_t n = kCount > 0 ? kCount : count;
  double* const o = m.in_lanes;
  double* const factor = o + n * kL;
  double* const before = factor + n * kL;
  double* const integral = before + n * kL;
  EINKORN_UNROLL for (int64_t e = 0; e < n; ++e) {
    const IntVec<double> bit = (static_cast<int64_t>(m.on[e] >> row) >> lane_numbers<double>()) & 1;
    store(o + e * kL, bit != 0 ? broadcast(1.0) : Row{});
    store(integral + e * kL, Row{});
  }
  for (int64_t p = 0; p < n_points; ++p) {
    const double t = points[2 * p];
    Row product = broadcast(points[2 * p + 1]);
    EINKORN_UNROLL for (int64_t e = 0; e < n; ++e) {
      const Row f = load(o + e * kL) * t + m.share[e] * (1 - t);
      store(factor + e * kL, f);
      store(before + e * kL, product);
      product *= f;
    }
    product = broadcast(1.0);
    EINKORN_UNROLL for (int64_t e = n - 1; e >= 0; --e) {
      store(integral + e * kL, load(integral + e * kL) + load(before + e * kL) * product);
      product *= load(factor + e * kL);
    }
  }
  EINKORN_UNROLL for (int64_t e = 0; e < n; ++e)
      store(integral + e * kL, load(integral + e * kL) * (load(o + e * kL) - m.share[e]));
}

// Adds the part of one leaf.
template <class T>
void add_leaf(const TreeShap<T>& k, int64_t tree, int64_t node, int64_t depth, int64_t rows, const ShapMemory& m) {
  const int64_t first = k.offsets[tree];
  const int64_t n = merge_path(k, first, depth, m);
  const int64_t n_points = (n + 1) / 2 < k.most ? (n + 1) / 2 : k.most;
  const double* points = k.points + (n_points - 1) * k.most * 2;
  const double* value = k.value + (first + node) * k.width;
  const int32_t output = k.outputs_of[tree];
  const double* integral = m.in_lanes + 3 * n * kL;
  for (int64_t r = 0; r < rows; r += kL) {
    switch (n) {
      case 1:
        integrate<1>(n, points, n_points, m, r);
        break;
      case 2:
        integrate<2>(n, points, n_points, m, r);
        break;
      case 3:
        integrate<3>(n, points, n_points, m, r);
        break;
      case 4:
        integrate<4>(n, points, n_points, m, r);
        break;
      case 5:
        integrate<5>(n, points, n_points, m, r);
        break;
      case 6:
        integrate<6>(n, points, n_points, m, r);
        break;
      default:
        integrate<0>(n, points, n_points, m, r);
    }
    for (int64_t e = 0; e < n; ++e) {
      const Row part = load(integral + e * kL);
      double* sums = m.sums + m.feature[e] * k.outputs * kShapRows + r;
      if (output >= 0) {
        double* to = sums + output * kShapRows;
        store(to, load(to) + part * value[0]);
      } else {
        for (int64_t j = 0; j < k.width; ++j) store(sums + j * kShapRows, load(sums + j * kShapRows) + part * value[j]);
      }
    }
  }
}

template <class T>
void add_tree(const TreeShap<T>& k, int64_t tree, int64_t rows, const ShapMemory& m) {
  const int64_t first = k.offsets[tree], nodes = k.offsets[tree + 1] - first;
  if (nodes == 1) return;
  for (int64_t i = 0; i < nodes; ++i)
    if (k.feature[first + i] >= 0)
      m.right[i] = rows_to_the_right(k, first + i, m.x + k.feature[first + i] * kShapRows, rows);
  int64_t node = 0, depth = 0;
  for (;;) {  // leaves from left to right
    while (k.feature[first + node] >= 0) {
      m.path[depth++] = 2 * node;
      node = k.left[first + node];
    }
    add_leaf(k, tree, node, depth, rows, m);
    while (depth > 0 && (m.path[depth - 1] & 1) != 0) --depth;
    if (depth == 0) return;
    m.path[depth - 1] |= 1;
    node = k.right[first + (m.path[depth - 1] >> 1)];
  }
}

}  // namespace

template <class T>
void tree_shap(const TreeShap<T>& k) {
  const int64_t tasks = (k.rows + kShapRows - 1) / kShapRows;
  const auto memory = carve<TreeShapParts<T>>(k).memory;
  const double cost = static_cast<double>(k.offsets[k.trees]) * 500;
  parallel_for(k.ws, tasks, cost, [&](int64_t task, int slot) {
    const ShapMemory m = memory[slot];
    const int64_t row = task * kShapRows;
    const int64_t rows = k.rows - row < kShapRows ? k.rows - row : kShapRows;
    for (int64_t f = 0; f < k.features; ++f)
      for (int64_t r = 0; r < kShapRows; ++r)
        m.x[f * kShapRows + r] = r < rows ? static_cast<double>(k.x[(row + r) * k.features + f]) : 0;
    for (int64_t i = 0; i < k.features * k.outputs * kShapRows; ++i) m.sums[i] = 0;
    for (int64_t t = 0; t < k.trees; ++t) add_tree(k, t, rows, m);
    for (int64_t r = 0; r < rows; ++r) {
      double* out = k.out + (row + r) * (k.features + 1) * k.outputs;
      for (int64_t i = 0; i < k.features * k.outputs; ++i) out[i] = m.sums[i * kShapRows + r];
      for (int64_t o = 0; o < k.outputs; ++o) out[k.features * k.outputs + o] = k.expected[o];
    }
  });
}

EINKORN_INSTANTIATE(tree_shap, TreeShap)

}  // namespace einkorn::EINKORN_ISA
