// Prediction with trees: 64 rows at a time, feature by feature, through one tree after another.
//
//   block [used features][64 rows]      sums [outputs][64 rows]
//
//   small tree   no row walks. Every split is asked of all rows: rows that it sends right lose the leaves on its left, and
//                the first leaf that a row has left is where it ends (Lucchese et al., "QuickScorer", 2015; with rows in
//                lanes: 2016). A comparison and a masked AND a vector, nothing is looked up, nothing branches:
//
//                    leaves left of a row  1111   a: x0 > t ? 1100 : 1111   b: x1 > t ? 1110 : 1111  ->  1100, leaf 2
//
//   large tree   eight rows walk side by side, so that their loads overlap; siblings are neighbours, so a step is
//                node = left + (x > threshold), without a branch.
//
// versions tried, 100,000 rows of 28 features, avx512, 2 threads of a machine in use, medians in ms     float32   float64
//   100 trees of 31 leaves, masks                                                                          8.4      14.0
//     the same, leaves stored lane by lane                                                                   -      45.5
//   100 trees of 64 leaves, masks                                                                         20.1      27.9
//   100 trees of 255 leaves, walking, the eight loads made one gather by the compiler                      200       186
//     the same, loads kept apart                                                                           123       120
//   LightGBM 4.7, 100 trees of 31 leaves                                                                   160 to 180

#include "kernels/tree/tree_predict.h"

#include "kernels/instantiate.h"
#include "kernels/tree/tree_split.h"
#include "simd/integer.h"
#include "simd/transpose.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr int32_t kMissingRight = 1 << 30, kCategorical = 1 << 29, kFeature = kCategorical - 1;
constexpr int64_t kTaskRows = 8 * kTreeBlock;
constexpr int64_t kMaskLeaves = 64;  // larger trees are walked

template <class T>
using Bits = IntVec<T>;

// Word w of a mask, for all lanes: 64 leaves are one word of double's lanes and two of float's.
template <class T>
EINKORN_INLINE Bits<T> mask_word(int64_t mask, int w) {
  using Lane = typename VectorOf<T>::lane_integer;
  return static_cast<Lane>(mask >> (32 * w)) - Bits<T>{};
}

// The leaves, within the tree, of kVectors vectors of rows of the block.
template <class T, int kVectors, int kWords>
EINKORN_INLINE void leaves_of_rows(const TreePredict<T>& k, const int32_t* tree, const T* block, int32_t* leaf) {
  Bits<T> left[kVectors][kWords];
  EINKORN_UNROLL for (int v = 0; v < kVectors; ++v) EINKORN_UNROLL for (int w = 0; w < kWords; ++w) left[v][w] =
      ~Bits<T>{};
  int64_t s = tree[kTreeSplit];
  const auto ask = [&](int64_t end, const auto& stays) __attribute__((always_inline)) {
    for (; s < end; ++s) {
      const T* x = block + k.split_place[2 * s] * kTreeBlock;
      Bits<T> mask[kWords];
      EINKORN_UNROLL for (int w = 0; w < kWords; ++w) mask[w] = mask_word<T>(k.split_mask[s], w);
      EINKORN_UNROLL for (int v = 0; v < kVectors; ++v) {
        const Bits<T> stay = stays(load(x + v * kLanes<T>), s);
        EINKORN_UNROLL for (int w = 0; w < kWords; ++w) left[v][w] = stay ? left[v][w] : left[v][w] & mask[w];
      }
    }
  };
  ask(s + tree[kTreeMissingLeft],
      [&](Vec<T> x, int64_t i) __attribute__((always_inline)) { return ~(x > k.split_threshold[i]); });
  ask(s + tree[kTreeMissingRight],
      [&](Vec<T> x, int64_t i) __attribute__((always_inline)) { return x <= k.split_threshold[i]; });
  ask(s + tree[kTreeCategorical], [&](Vec<T> x, int64_t i) __attribute__((always_inline)) {
    const int32_t place = k.split_place[2 * i + 1];
    const int32_t* set = k.sets + (place & kFeature);
    const Bits<T> found = in_set<T>(x, reinterpret_cast<const uint32_t*>(set + 1), set[0]);
    return (place & kMissingRight) != 0 ? found : found | (x != x);
  });
  EINKORN_UNROLL for (int v = 0; v < kVectors; ++v) {
    Bits<T> place;
    if constexpr (kWords == 1)
      place = lowest_bit(left[v][0]);
    else  // a word without bits counts for nothing, whatever its lowest bit is said to be
      place = left[v][0] != 0 ? lowest_bit(left[v][0]) : lowest_bit(left[v][1]) + 32;
    if constexpr (sizeof(T) == 4)
      store(leaf + v * kLanes<T>, place);
    else
      store_low_halves(leaf + v * kLanes<T>, place);
  }
}

template <class T, int kWords>
EINKORN_INLINE void leaves_by_masks(const TreePredict<T>& k, const int32_t* tree, const T* block, int64_t rows,
                                    int32_t* leaf) {
  constexpr int kMost = kTreeBlock / kLanes<T> < 8 / kWords ? kTreeBlock / kLanes<T> : 8 / kWords;
  int64_t r = 0;
  for (; r + kMost * kLanes<T> <= rows; r += kMost * kLanes<T>)
    leaves_of_rows<T, kMost, kWords>(k, tree, block + r, leaf + r);
  for (; r < rows; r += kLanes<T>) leaves_of_rows<T, 1, kWords>(k, tree, block + r, leaf + r);
}

// kPlain: no NaN in the block and no sets in the tree.
template <bool kPlain, class T>
EINKORN_INLINE void leaves_by_walking(const TreePredict<T>& k, const int32_t* tree, const T* block, int64_t rows,
                                      int32_t* leaf) {
  constexpr int kSide = 8;
  for (int64_t r = 0; r < rows; r += kSide) {
    int32_t node[kSide];
    EINKORN_UNROLL for (int i = 0; i < kSide; ++i) node[i] = tree[kTreeNode];
    bool moved = true;
    while (moved) {
      moved = false;
      EINKORN_UNROLL for (int i = 0; i < kSide; ++i) {
        const int32_t* at = k.nodes + 4 * static_cast<int64_t>(node[i]);
        T threshold;
        memcpy(&threshold, at, sizeof threshold);
        const int32_t feature = at[2];
        const T x = block[(feature & kFeature) * kTreeBlock + r + i];
        int32_t right = x > threshold;
        asm("" : "+r"(right));  // eight loads: gathers, which the compiler would make of them, take three times as long
        if constexpr (!kPlain) {
          if ((feature & kCategorical) != 0) {
            const int32_t* set = k.sets + at[0];
            right = x == x && !in_set<T>(x, reinterpret_cast<const uint32_t*>(set + 1), set[0]);
          }
          right |= (x != x) & ((feature & kMissingRight) != 0);
        }
        const int32_t next = at[3] + right;
        moved |= next != node[i];
        node[i] = next;
      }
    }
    EINKORN_UNROLL for (int i = 0; i < kSide; ++i) leaf[r + i] = k.node_leaf[node[i]] - tree[kTreeLeaf];
  }
}

// sums[r] += value[leaf[r]]
EINKORN_INLINE void add_values(double* sums, const double* value, const int32_t* leaf, int64_t rows, int64_t leaves) {
#if defined(__AVX512F__)
  if (leaves <= 32) {  // the values of all leaves fit into four registers
    const __m512d a = _mm512_loadu_pd(value), b = _mm512_loadu_pd(value + 8), c = _mm512_loadu_pd(value + 16),
                  d = _mm512_loadu_pd(value + 24);
    for (int64_t r = 0; r < rows; r += 8) {
      const __m512i i = _mm512_cvtepi32_epi64(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(leaf + r)));
      const __m512d low = _mm512_permutex2var_pd(a, i, b), high = _mm512_permutex2var_pd(c, i, d);
      const __m512d v = _mm512_mask_blend_pd(_mm512_test_epi64_mask(i, _mm512_set1_epi64(16)), low, high);
      _mm512_storeu_pd(sums + r, _mm512_add_pd(_mm512_loadu_pd(sums + r), v));
    }
    return;
  }
#endif
  (void)leaves;
  for (int64_t r = 0; r < rows; ++r) sums[r] += value[leaf[r]];
}

// The used features of `rows` rows of x, feature by feature; the block's other rows are zero or as they were.
template <class T>
void fill_block(const TreePredict<T>& k, const T* x, int64_t rows, T* block) {
  constexpr int L = kLanes<T>;
  for (int64_t f = 0; f < k.used_features;) {
    const int64_t n = k.used_features - f < L ? k.used_features - f : L;
    if (k.used[f + n - 1] - k.used[f] == n - 1) {
      for (int64_t r = 0; r < rows; r += L)
        transpose_block<T>(block + f * kTreeBlock + r, kTreeBlock, x + r * k.features + k.used[f], k.features,
                           rows - r < L ? rows - r : L, n);
      f += n;
    } else {
      for (int64_t r = 0; r < rows; ++r) block[f * kTreeBlock + r] = x[r * k.features + k.used[f]];
      ++f;
    }
  }
}

// Whether all of the block is finite, as far as rows were filled.
template <class T>
bool is_finite(const T* block, int64_t features, int64_t rows) {
  Vec<T> sum = {};
  for (int64_t f = 0; f < features; ++f)
    for_vectors<T>(rows, [&](int64_t r, int64_t n) {
      const Vec<T> x = load_n(block + f * kTreeBlock + r, n);
      sum += x - x;  // 0, or NaN
    });
  return sum_lanes<T>(sum) == 0;
}

template <class T>
struct Sums {
  const TreePredict<T>& k;
  double* sums;  // [outputs][kTreeBlock]

  void begin(int64_t row, int64_t rows) const {
    for (int64_t o = 0; o < k.outputs; ++o)
      for (int64_t r = 0; r < kTreeBlock; ++r)
        sums[o * kTreeBlock + r] = k.accumulate && r < rows ? k.out[(row + r) * k.outputs + o] : k.base[o];
  }

  void add(const int32_t* tree, const int32_t* leaf, int64_t rows) const {
    const double* value = k.leaf_value + tree[kTreeLeaf] * k.width;
    if (tree[kTreeOutput] >= 0) {
      add_values(sums + tree[kTreeOutput] * kTreeBlock, value, leaf, rows, tree[kTreeLeaves]);
      return;
    }
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t o = 0; o < k.width; ++o) sums[o * kTreeBlock + r] += value[leaf[r] * k.width + o];
  }

  void end(int64_t row, int64_t rows) const {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t o = 0; o < k.outputs; ++o) k.out[(row + r) * k.outputs + o] = sums[o * kTreeBlock + r];
  }
};

template <class T>
void predict_block(const TreePredict<T>& k, int64_t row, int64_t rows, T* block, double* sums) {
  fill_block(k, k.x + row * k.features, rows, block);
  const bool finite = is_finite(block, k.used_features, rows);
  const Sums<T> total{k, sums};
  if (k.out != nullptr) total.begin(row, rows);
  alignas(kVectorBytes) int32_t leaf[kTreeBlock];
  for (int64_t t = k.first; t < k.last; ++t) {
    const int32_t* tree = k.trees + t * kTreeColumns;
    if (tree[kTreeLeaves] > kMaskLeaves) {
      if (finite && tree[kTreeHasSets] == 0)
        leaves_by_walking<true>(k, tree, block, rows, leaf);
      else
        leaves_by_walking<false>(k, tree, block, rows, leaf);
    } else if (sizeof(T) == 8 || tree[kTreeLeaves] <= 32) {
      leaves_by_masks<T, 1>(k, tree, block, rows, leaf);
    } else if constexpr (sizeof(T) == 4) {
      leaves_by_masks<T, 2>(k, tree, block, rows, leaf);
    }
    if (k.out != nullptr) total.add(tree, leaf, rows);
    if (k.leaves != nullptr) {
      const int32_t* number = k.leaf_node + tree[kTreeLeaf];
      int32_t* to = k.leaves + row * (k.last - k.first) + t - k.first;
      for (int64_t r = 0; r < rows; ++r) to[r * (k.last - k.first)] = number[leaf[r]];
    }
  }
  if (k.out != nullptr) total.end(row, rows);
}

// ns for one row, on one core.
template <class T>
double row_cost(const TreePredict<T>& k) {
  double cost = 20;
  for (int64_t t = k.first; t < k.last; ++t) {
    const int32_t* tree = k.trees + t * kTreeColumns;
    const int32_t leaves = tree[kTreeLeaves];
    cost += leaves > kMaskLeaves ? 1.5 * tree[kTreeDepth] : 0.25 + 1.3 / kLanes<T> * leaves;
  }
  return cost;
}

}  // namespace

template <class T>
void tree_predict(const TreePredict<T>& k) {
  const int64_t tasks = (k.rows + kTaskRows - 1) / kTaskRows;
  const auto blocks = carve<TreePredictParts<T>>(k).blocks;
  const double cost = row_cost(k) * static_cast<double>(k.rows < kTaskRows ? k.rows : kTaskRows);
  parallel_for(k.ws, tasks, cost, [&](int64_t task, int slot) {
    const TreePredictBlock<T> own = blocks[slot];
    for (int64_t i = 0; i < (k.used_features > 0 ? k.used_features : 1) * kTreeBlock; ++i) own.block[i] = 0;
    const int64_t end = (task + 1) * kTaskRows < k.rows ? (task + 1) * kTaskRows : k.rows;
    for (int64_t row = task * kTaskRows; row < end; row += kTreeBlock)
      predict_block(k, row, end - row < kTreeBlock ? end - row : kTreeBlock, own.block, own.sums);
  });
}

EINKORN_INSTANTIATE(tree_predict, TreePredict)

}  // namespace einkorn::EINKORN_ISA
