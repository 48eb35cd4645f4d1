// Sorting on the GPU: a number's bits as a key that rises as the numbers do, turned over where the order falls, and its place.
//
//   n <= 256    a thread an element counts the elements of its row that come before it: its place among the sorted
//   else        the radix sort of cuda_radix.h over all rows at once
//
// topk sorts the row and keeps k, which costs more than a selection would where k is small. search_sorted bisects, a thread a value.
//
// Roofline: cuda_radix.h; search_sorted log2(n) reads a value, the first ones of them from L2.

#include "kernels/cuda_radix.h"
#include "kernels/instantiate.h"
#include "kernels/sort.h"

namespace einkorn::cuda {

namespace {

template <class T>
__device__ __forceinline__ Key<T> ordered_key(T x, bool falling) {
  const Key<T> key = rising_key(x);
  return falling ? static_cast<Key<T>>(~key) : key;
}

constexpr int64_t kRankedRow = 256;

// The first k of each row of n, by their ranks; equal ones keep their order.
template <class T>
__global__ void rank_elements(const T* x, T* values, int64_t* index, int64_t rows, int64_t n, int64_t k, bool falling) {
  grid_stride(rows * n, [&](int64_t i) {
    const int64_t row = quotient(i, n), me = i - row * n;
    const Key<T> key = ordered_key(x[i], falling);
    int64_t rank = 0;
    for (int64_t j = 0; j < n; ++j) {
      const Key<T> other = ordered_key(x[row * n + j], falling);
      rank += other < key || (other == key && j < me);
    }
    if (rank >= k) return;
    values[row * k + rank] = x[i];
    index[row * k + rank] = me;
  });
}

template <class T>
__global__ void make_keys(SortRows<Key<T>> s, const T* x, bool falling) {
  grid_stride(s.rows * s.n, [&](int64_t i) {
    s.keys[i] = ordered_key(x[i], falling);
    s.places[i] = static_cast<int32_t>(i - quotient(i, s.n) * s.n);
  });
}

// The first k of each sorted row.
template <class T>
__global__ void take_sorted(SortRows<Key<T>> s, const T* x, T* values, int64_t* index, int64_t k) {
  grid_stride(s.rows * k, [&](int64_t i) {
    const int64_t row = quotient(i, k), place = s.places[row * s.n + (i - row * k)];
    index[i] = place;
    values[i] = x[row * s.n + place];
  });
}

template <class T>
void sort_rows(const char* name, const T* x, T* values, int64_t* index, int64_t rows, int64_t n, int64_t k,
               bool falling) {
  if (rows * k == 0) return;
  if (n <= kRankedRow) {
    launch_over(name, rank_elements<T>, rows * n, x, values, index, rows, n, k, falling);
    return;
  }
  RadixSort<Key<T>> sorting(rows, n);
  launch_over(name, make_keys<T>, rows * n, sorting.from, x, falling);
  sorting.sort(name, static_cast<int>(sizeof(T)) * 8);
  launch_over(name, take_sorted<T>, rows * k, sorting.from, x, values, index, k);
}

template <class T>
__global__ void bisect(SearchSorted<T> k) {
  grid_stride(k.rows * k.m, [&](int64_t i) {
    const T* const sorted = k.sorted + (k.sorted_rows == 1 ? 0 : quotient(i, k.m) * k.n);
    const T v = k.values[i];
    int64_t low = 0, high = k.n;
    while (low < high) {
      const int64_t middle = low + (high - low) / 2;
      const T s = sorted[middle];
      // NaN is above all numbers and equal to NaN.
      const bool before = k.right ? !(s > v) && (s == s || v != v) : s < v || (v != v && s == s);
      if (before)
        low = middle + 1;
      else
        high = middle;
    }
    k.out[i] = low;
  });
}

}  // namespace

template <class T>
void sort(const Sort<T>& k) {
  sort_rows("sort", k.x, k.values, k.index, k.rows, k.n, k.n, k.descending);
}

template <class T>
void topk(const TopK<T>& k) {
  sort_rows("topk", k.x, k.values, k.index, k.rows, k.n, k.k, k.largest);
}

template <class T>
void search_sorted(const SearchSorted<T>& k) {
  launch_over("search_sorted", bisect<T>, k.rows * k.m, k);
}

EINKORN_INSTANTIATE(sort, Sort)
EINKORN_INSTANTIATE(topk, TopK)
EINKORN_INSTANTIATE(search_sorted, SearchSorted)

}  // namespace einkorn::cuda
