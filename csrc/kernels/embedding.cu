// Embeddings on the GPU: rows copied, and rows of gradients summed in the order of the entries.
//
//     index      7 2 7 0 2 7                     entries sorted by their row (cuda_radix.h), which keeps their order; those that
//     row        0 | 2 2 | 7 7 7     sorted      do not count are last. A thread an element of a distinct row adds up the row's
//     entry      3 | 1 4 | 0 2 5                 entries: the same bits every time, and no atomics
//     start      0   1     3       6
//
// Where each distinct row begins is found by bisection (all rows wanted) or by counting (sparse). Rows are walked by threads side by
// side along the width.
//
// Roofline: a lookup 8 bytes an element (float32), [65536, 1024] 0.54 GB, 0.18 ms at 3.0 TB/s; backward the same for g, and gweight
// once. An index that occurs very often is one chain of additions.
// Plan: look_up, sum_distinct_rows: 40 registers, 6 blocks of 256 threads an SM

#include <math.h>

#include "kernels/cuda_radix.h"
#include "kernels/embedding.h"
#include "kernels/instantiate.h"

namespace einkorn::cuda {

namespace {

template <class T>
__global__ void look_up(EmbeddingForward<T> k) {
  grid_stride(k.count * k.width, [&](int64_t i) {
    const int64_t entry = quotient(i, k.width), r = k.index[entry];
    k.out[i] = r >= 0 && r < k.rows ? k.weight[r * k.width + (i - entry * k.width)] : static_cast<T>(NAN);
  });
}

template <class T>
__global__ void put_rows(EmbeddingPut<T> k) {
  grid_stride(k.count * k.width, [&](int64_t i) {
    const int64_t entry = quotient(i, k.width), r = k.index[entry];
    if (r >= 0 && r < k.rows) k.table[r * k.width + (i - entry * k.width)] = k.values[i];
  });
}

// --- backward -----------------------------------------------------------------------------------

// The rows of the entries; `rows` for those that do not count.
template <class T>
__global__ void make_entries(EmbeddingBackward<T> k, SortRows<uint64_t> s) {
  grid_stride(k.count, [&](int64_t i) {
    const int64_t r = k.index[i];
    const bool in_bag = k.bag == nullptr || (k.bag[i] >= 0 && k.bag[i] < k.g_rows);
    const bool counts = r != k.padding && r >= 0 && r < k.rows && in_bag;
    s.keys[i] = static_cast<uint64_t>(counts ? r : k.rows);
    s.places[i] = static_cast<int32_t>(i);
  });
}

// Element j of the sum of the sorted entries [begin, end), all of one row.
template <class T>
__device__ __forceinline__ T sum_entries(const EmbeddingBackward<T>& k, const SortRows<uint64_t>& s, int64_t begin,
                                         int64_t end, int64_t j) {
  T sum = 0;
#pragma unroll 4
  for (int64_t e = begin; e < end; ++e) {
    const int64_t i = s.places[e], at = (k.bag != nullptr ? k.bag[i] : i) * k.width + j;
    if (k.place != nullptr && k.place[at] != i) continue;
    sum += k.factor != nullptr ? k.g[at] * k.factor[i] : k.g[at];
  }
  return k.by_frequency ? sum * (1 / static_cast<T>(end - begin)) : sum;
}

__global__ void find_starts(SortRows<uint64_t> s, int64_t* start, int64_t rows) {
  grid_stride(rows + 1, [&](int64_t r) { start[r] = first_key(s, static_cast<uint64_t>(r)); });
}

template <class T>
__global__ void sum_all_rows(EmbeddingBackward<T> k, SortRows<uint64_t> s, const int64_t* start) {
  grid_stride(k.rows * k.width, [&](int64_t i) {
    const int64_t r = quotient(i, k.width), begin = start[r], end = start[r + 1];
    k.gweight[i] = begin == end ? T{0} : sum_entries(k, s, begin, end, i - r * k.width);
  });
}

// 1 where a distinct row begins.
__global__ void mark_starts(SortRows<uint64_t> s, int64_t* marks, int64_t rows) {
  grid_stride(s.n + 1, [&](int64_t e) {
    const bool starts = e < s.n && s.keys[e] < static_cast<uint64_t>(rows) && (e == 0 || s.keys[e - 1] != s.keys[e]);
    marks[e] = starts;
  });
}

// From their exclusive sums: the number of each distinct row, where it begins, and how many there are.
template <class T>
__global__ void name_rows(EmbeddingBackward<T> k, SortRows<uint64_t> s, const int64_t* marks, int64_t* start) {
  grid_stride(s.n, [&](int64_t e) {
    if (marks[e + 1] == marks[e]) return;
    start[marks[e]] = e;
    k.gather_rows[marks[e]] = static_cast<int64_t>(s.keys[e]);
  });
  if (blockIdx.x == 0 && threadIdx.x == 0) {
    *k.gather_count = marks[s.n];
    start[marks[s.n]] = first_key(s, static_cast<uint64_t>(k.rows));
  }
}

template <class T>
__global__ void sum_distinct_rows(EmbeddingBackward<T> k, SortRows<uint64_t> s, const int64_t* start) {
  grid_stride(*k.gather_count * k.width, [&](int64_t i) {
    const int64_t r = quotient(i, k.width);
    k.gweight[i] = sum_entries(k, s, start[r], start[r + 1], i - r * k.width);
  });
}

// --- bags ---------------------------------------------------------------------------------------

template <class T>
__global__ void sum_bags(EmbeddingBagForward<T> k) {
  const int64_t columns = k.width > 0 ? k.width : 1;  // one, for the sizes, where there are none
  grid_stride(k.bags * columns, [&](int64_t index) {
    const int64_t b = quotient(index, columns), j = index - b * columns;
    const int64_t first = k.offsets[b] < 0 ? 0 : k.offsets[b];
    const int64_t last = k.offsets[b + 1] < k.count ? k.offsets[b + 1] : k.count;
    T sum = 0;
    int64_t size = 0, place = -1;
    for (int64_t i = first; i < last; ++i) {
      const int64_t r = k.index[i];
      if (r == k.padding || r < 0 || r >= k.rows) continue;
      if (j < k.width) {
        const T x = k.weight[r * k.width + j];
        if (k.mode != BagMode::max)
          sum += k.factor != nullptr ? x * k.factor[i] : x;
        else if (size == 0 || x > sum)
          sum = x, place = i;
      }
      ++size;
    }
    if (j == 0) k.bag_size[b] = static_cast<T>(size);
    if (j >= k.width) return;
    k.out[b * k.width + j] = k.mode == BagMode::mean && size > 0 ? sum / static_cast<T>(size) : sum;
    if (k.place != nullptr) k.place[b * k.width + j] = place;
  });
}

template <class T>
__global__ void __launch_bounds__(kBlock) factor_grads(EmbeddingBagFactorGrad<T> k) {
  for_groups<kWarp>(k.count, [&](int64_t i, int lane, bool live) {
    const int64_t r = k.index[i], b = k.bag[i];
    T sum = 0;
    if (r != k.padding && r >= 0 && r < k.rows && b >= 0 && b < k.g_rows)
      for (int64_t j = lane; j < k.width; j += kWarp) sum += k.g[b * k.width + j] * k.weight[r * k.width + j];
    sum = summed<kWarp>(sum);
    if (live && lane == 0) k.gfactor[i] = sum;
  });
}

// --- norms --------------------------------------------------------------------------------------

// How much the row of each entry shrinks, a warp an entry; rows that occur more than once get the same number each time.
template <class T>
__global__ void __launch_bounds__(kBlock) find_shrinkage(EmbeddingRenorm<T> k, double* shrinkage) {
  for_groups<kWarp>(k.count, [&](int64_t i, int lane, bool live) {
    const int64_t r = k.index[i];
    const bool counts = r >= 0 && r < k.rows;
    const bool largest = k.p == static_cast<double>(INFINITY);
    const auto join = [&](double a, double b) { return largest ? (b > a || b != b ? b : a) : a + b; };
    double sum = 0;
    for (int64_t j = lane; counts && j < k.width; j += kWarp) {
      const double size = ::fabs(static_cast<double>(k.weight[r * k.width + j]));
      sum = join(sum, k.p == 2 ? size * size : k.p == 1 || largest ? size : ::pow(size, k.p));
    }
    sum = fold_group<kWarp>(sum, join, [](double a, int distance) { return shuffle_xor(a, distance); });
    const double norm = k.p == 2 ? ::sqrt(sum) : k.p == 1 || largest ? sum : ::pow(sum, 1 / k.p);
    if (live && lane == 0) shrinkage[i] = counts && norm > k.max_norm ? k.max_norm / (norm + 1e-7) : 1;
  });
}

// first[r] = the first entry that names r: it alone writes the row.
__global__ void find_first(const int64_t* index, int64_t count, int32_t* first, int64_t rows) {
  grid_stride(count, [&](int64_t i) {
    if (index[i] >= 0 && index[i] < rows) atomicMin(first + index[i], static_cast<int32_t>(i));
  });
}

__global__ void clear_first(int32_t* first, int64_t rows) {
  grid_stride(rows, [&](int64_t r) { first[r] = INT32_MAX; });
}

template <class T>
__global__ void shrink_rows(EmbeddingRenorm<T> k, const double* shrinkage, const int32_t* first) {
  grid_stride(k.count * k.width, [&](int64_t index) {
    const int64_t i = quotient(index, k.width), r = k.index[i];
    if (r < 0 || r >= k.rows || first[r] != i || shrinkage[i] == 1) return;
    k.weight[r * k.width + (index - i * k.width)] *= static_cast<T>(shrinkage[i]);
  });
}

}  // namespace

template <class T>
void embedding_forward(const EmbeddingForward<T>& k) {
  launch_over("embedding_forward", look_up<T>, k.count * k.width, k);
}

template <class T>
void embedding_backward(const EmbeddingBackward<T>& k) {
  const char* const name = "embedding_backward";
  RadixSort<uint64_t> sorting(1, k.count);
  launch_over(name, make_entries<T>, k.count, k, sorting.from);
  sorting.sort(name, bits_below(k.rows + 1));
  const SortRows<uint64_t> sorted = sorting.from;
  if (k.gather_rows == nullptr) {
    const StreamScratch start(static_cast<size_t>(k.rows + 1) * sizeof(int64_t));
    launch_over(name, find_starts, k.rows + 1, sorted, start.as<int64_t>(), k.rows);
    launch_over(name, sum_all_rows<T>, k.rows * k.width, k, sorted, start.as<int64_t>());
    return;
  }
  const StreamScratch scratch(static_cast<size_t>(2 * (k.count + 1)) * sizeof(int64_t));
  int64_t* const marks = scratch.as<int64_t>();
  int64_t* const start = marks + k.count + 1;
  launch_over(name, mark_starts, k.count + 1, sorted, marks, k.rows);
  launch(name, scan_rows<0>, 1, kBlock, 0, marks, 1, k.count + 1);
  launch_over(name, name_rows<T>, k.count > 0 ? k.count : 1, k, sorted, marks, start);
  launch_over(name, sum_distinct_rows<T>, k.count * k.width, k, sorted, start);
}

template <class T>
void embedding_bag_forward(const EmbeddingBagForward<T>& k) {
  launch_over("embedding_bag_forward", sum_bags<T>, k.bags * (k.width > 0 ? k.width : 1), k);
}

template <class T>
void embedding_bag_factor_grad(const EmbeddingBagFactorGrad<T>& k) {
  launch_over("embedding_bag_factor_grad", factor_grads<T>, k.count * kWarp, k);
}

template <class T>
void embedding_renorm(const EmbeddingRenorm<T>& k) {
  const char* const name = "embedding_renorm";
  const StreamScratch scratch(static_cast<size_t>(k.count) * sizeof(double) +
                              static_cast<size_t>(k.rows) * sizeof(int32_t));
  double* const shrinkage = scratch.as<double>();
  int32_t* const first = reinterpret_cast<int32_t*>(shrinkage + k.count);
  launch_over(name, clear_first, k.rows, first, k.rows);
  launch_over(name, find_first, k.count, k.index, k.count, first, k.rows);
  launch_over(name, find_shrinkage<T>, k.count * kWarp, k, shrinkage);
  launch_over(name, shrink_rows<T>, k.count * k.width, k, shrinkage, first);
}

template <class T>
void embedding_put(const EmbeddingPut<T>& k) {
  launch_over("embedding_put", put_rows<T>, k.count * k.width, k);
}

EINKORN_INSTANTIATE(embedding_forward, EmbeddingForward)
EINKORN_INSTANTIATE(embedding_backward, EmbeddingBackward)
EINKORN_INSTANTIATE(embedding_bag_forward, EmbeddingBagForward)
EINKORN_INSTANTIATE(embedding_bag_factor_grad, EmbeddingBagFactorGrad)
EINKORN_INSTANTIATE(embedding_renorm, EmbeddingRenorm)
EINKORN_INSTANTIATE(embedding_put, EmbeddingPut)

}  // namespace einkorn::cuda
