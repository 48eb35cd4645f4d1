// TreeSHAP on the GPU: a thread a row. All threads take the leaves in one order, so that they never part; what a path's features come to for
// a row (tree_shap.cpp has the integral) lies in scratch, entry by entry with threads side by side.
//
//   scratch    [right at each split of the path | feature | o | share | factor | product before | integral] [deepest] [threads]
//
// Roofline: 3 D^2 multiply-adds in double for a leaf with D features on its path, beside as many reads from L2: 100 trees of 31 leaves at D
// = 5, 2,000 rows 0.5 G of them, 0.02 ms at 30 TFLOP/s, 0.7 ms by L2's bytes. Blocks are few, to bound the scratch.
// Plan: add_paths: 96 registers, 10 blocks of 64 threads an SM, 16 bytes spilled

#include "kernels/cuda_launch.h"
#include "kernels/instantiate.h"
#include "kernels/tree/tree_shap.h"

namespace einkorn::cuda {

namespace {

constexpr int kThreads = 64;
constexpr int64_t kMostShapBlocks = 512;
enum ShapPart { kPath, kRight, kColumn, kOn, kShare, kFactor, kBefore, kIntegral, kShapParts };

// A thread's entries of a part.
struct Entries {
  double* base;
  int64_t step;

  __device__ __forceinline__ double& operator[](int64_t entry) const { return base[entry * step]; }
};

template <class T>
struct ShapRow {
  const TreeShap<T>& k;
  const T* x;
  double* out;
  Entries parts[kShapParts];

  __device__ __forceinline__ bool goes_right(int64_t node) const {
    const T value = x[k.feature[node]];
    if (value != value) return k.missing_left[node] == 0;
    const int32_t set = k.category_offset[node];
    if (set < 0) return static_cast<double>(value) > k.threshold[node];
    if (!(value >= 0 && static_cast<double>(value) < 2147483648.0)) return true;
    const int32_t category = static_cast<int32_t>(value);
    return !(category / 32 < k.category_words[node] && (k.categories[set + category / 32] >> (category % 32) & 1) != 0);
  }

  // The path's features, each once: how many there are.
  __device__ __forceinline__ int64_t merge_path(int64_t first, int64_t depth) const {
    int64_t n = 0;
    for (int64_t i = 0; i < depth; ++i) {
      const int64_t path = static_cast<int64_t>(parts[kPath][i]), node = first + (path >> 1);
      const bool right = (path & 1) != 0;
      const double on = (parts[kRight][i] != 0) == right ? 1.0 : 0.0;
      const double share = k.share[first + (right ? k.right : k.left)[node]];
      int64_t e = 0;
      while (e < n && static_cast<int32_t>(parts[kColumn][e]) != k.feature[node]) ++e;
      if (e == n) {
        parts[kColumn][e] = k.feature[node];
        parts[kOn][e] = on;
        parts[kShare][e] = share;
        ++n;
      } else {
        parts[kOn][e] *= on;
        parts[kShare][e] *= share;
      }
    }
    return n;
  }

  __device__ __forceinline__ void add_leaf(int64_t tree, int64_t leaf, int64_t depth) const {
    const int64_t n = merge_path(k.offsets[tree], depth), n_points = (n + 1) / 2 < k.most ? (n + 1) / 2 : k.most;
    const double* const points = k.points + (n_points - 1) * k.most * 2;
    const Entries &on = parts[kOn], &share = parts[kShare], &factor = parts[kFactor], &before = parts[kBefore],
                  &integral = parts[kIntegral];
    for (int64_t e = 0; e < n; ++e) integral[e] = 0;
    for (int64_t p = 0; p < n_points; ++p) {
      const double t = points[2 * p];
      double product = points[2 * p + 1];
      for (int64_t e = 0; e < n; ++e) {
        const double f = on[e] * t + share[e] * (1 - t);
        factor[e] = f;
        before[e] = product;
        product *= f;
      }
      product = 1;
      for (int64_t e = n - 1; e >= 0; --e) {
        integral[e] += before[e] * product;
        product *= factor[e];
      }
    }
    const double* const value = k.value + leaf * k.width;
    const int32_t output = k.outputs_of[tree];
    for (int64_t e = 0; e < n; ++e) {
      const double part = integral[e] * (on[e] - share[e]);
      double* const to = out + static_cast<int64_t>(parts[kColumn][e]) * k.outputs;
      if (output >= 0)
        to[output] += part * value[0];
      else
        for (int64_t o = 0; o < k.width; ++o) to[o] += part * value[o];
    }
  }

  // Leaves from left to right.
  __device__ __forceinline__ void add_tree(int64_t tree) const {
    const int64_t first = k.offsets[tree];
    int64_t node = 0, depth = 0;
    if (k.offsets[tree + 1] - first == 1) return;
    for (;;) {
      while (k.feature[first + node] >= 0) {
        parts[kPath][depth] = static_cast<double>(2 * node);
        parts[kRight][depth] = goes_right(first + node) ? 1 : 0;
        ++depth;
        node = k.left[first + node];
      }
      add_leaf(tree, first + node, depth);
      while (depth > 0 && (static_cast<int64_t>(parts[kPath][depth - 1]) & 1) != 0) --depth;
      if (depth == 0) return;
      const int64_t path = static_cast<int64_t>(parts[kPath][depth - 1]) | 1;
      parts[kPath][depth - 1] = static_cast<double>(path);
      node = k.right[first + (path >> 1)];
    }
  }
};

template <class T>
__global__ void __launch_bounds__(kThreads) add_paths(TreeShap<T> k, double* scratch) {
  const int64_t threads = static_cast<int64_t>(gridDim.x) * kThreads;
  const int64_t thread = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  for (int64_t r = thread; r < k.rows; r += threads) {
    ShapRow<T> row = {k, k.x + r * k.features, k.out + r * (k.features + 1) * k.outputs, {}};
    for (int part = 0; part < kShapParts; ++part)
      row.parts[part] = {scratch + part * k.deepest * threads + thread, threads};
    for (int64_t i = 0; i < k.features * k.outputs; ++i) row.out[i] = 0;
    for (int64_t t = 0; t < k.trees; ++t) row.add_tree(t);
    for (int64_t o = 0; o < k.outputs; ++o) row.out[k.features * k.outputs + o] = k.expected[o];
  }
}

}  // namespace

template <class T>
void tree_shap(const TreeShap<T>& k) {
  if (k.rows == 0) return;
  int64_t blocks = pieces_of(k.rows, kThreads);
  if (blocks > kMostShapBlocks) blocks = kMostShapBlocks;
  const StreamScratch scratch(static_cast<size_t>(blocks * kThreads * kShapParts * k.deepest) * sizeof(double));
  launch("tree_shap", add_paths<T>, static_cast<unsigned>(blocks), kThreads, 0, k, scratch.as<double>());
}

EINKORN_INSTANTIATE(tree_shap, TreeShap)

}  // namespace einkorn::cuda
