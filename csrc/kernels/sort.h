// Sorting rows, the first k of a row, and places in sorted rows.
//
//   sort           values[r] = x[r] in rising (or falling) order, index[r] = where each number was
//   topk           the same for the k largest (or smallest) alone
//   search_sorted  out[r, j] = how many numbers of sorted[r] are < values[r, j], or with `right` <= it
//
// Order       stable: equal numbers keep theirs, -0 is 0. NaN is larger than all: last, or first where the order falls.
// Layout      all contiguous: x [rows, n], values and index [rows, n] or [rows, k]; sorted [rows, n] or, with
//             sorted_rows = 1, [n] for all rows; search_sorted's values and out [rows, m].
// Aliasing    none.
// Zero sizes  nothing happens. 0 <= k <= n < 2^31.
// Writes      every element of the outputs. Same bits for any thread count.
// Cost        sort: 3 (float) or 6 (double) passes over keys and places; topk: one pass over x for k << n;
//             search_sorted: log2(n) reads of each number.

#pragma once

#include "kernels/radix_sort.h"
#include "kernels/table.h"
#include "runtime/carver.h"
#include "runtime/parallel.h"

namespace einkorn {

template <class T>
struct Sort {
  T* values;
  int64_t* index;
  const T* x;
  int64_t rows, n;
  bool descending;
  Workspace ws;  // scratch: SortParts
};

template <class T>
struct TopK {
  T* values;
  int64_t* index;
  const T* x;
  int64_t rows, n, k;
  bool largest;
  Workspace ws;  // scratch: SortParts
};

template <class T>
struct SearchSorted {
  int64_t* out;
  const T* sorted;
  const T* values;
  int64_t rows, n, m, sorted_rows;
  bool right;
  Workspace ws;
};

#define EINKORN_SORT_KERNELS(X) \
  X(sort, Sort)                 \
  X(topk, TopK)                 \
  X(search_sorted, SearchSorted)

EINKORN_FLOAT_TABLE(SortKernels, EINKORN_SORT_KERNELS)

inline namespace EINKORN_ISA {

// Candidates that topk gathers before it sorts them and keeps k; as many as the row has where k is a good part of it.
inline int64_t topk_room(int64_t n, int64_t k) {
  const int64_t room = 2 * k > 512 ? 2 * k : 512;
  return room < n && k * 4 < n ? room : n;
}

// Keys and places of a row, twice: what is sorted and where to.
template <class T>
struct SortParts {
  PartOfEach<Key<T>> keys, other_keys;
  PartOfEach<int32_t> places, other_places;

  SortParts(Carver& c, const Sort<T>& k) { take(c, k.ws.threads, k.n); }
  SortParts(Carver& c, const TopK<T>& k) { take(c, k.ws.threads, topk_room(k.n, k.k)); }

 private:
  void take(Carver& c, int64_t threads, int64_t size) {
    keys = c.take_each<Key<T>>(threads, size);
    other_keys = c.take_each<Key<T>>(threads, size);
    places = c.take_each<int32_t>(threads, size);
    other_places = c.take_each<int32_t>(threads, size);
  }
};

}  // namespace EINKORN_ISA
}  // namespace einkorn
