// Sorting by radix: a number's bits as a key that rises as the numbers do, turned over where the order falls, and its place.
//
//   n <= 24        insertion
//   n <= 4096      digits of 8 bits: the counters of all digits fit the L1 cache beside the keys
//   else           digits of 11 bits, three passes for float (radix_sort.h)
//
// topk looks a row through once: what beats the k-th of the candidates so far joins them, and when there is no more room they
// are sorted and k are kept. The bar rises quickly, so that hardly anything joins later; whole vectors are compared with it.
//
// A task is a row, or as many as make 16384 elements.

#include "kernels/sort.h"

#include "kernels/instantiate.h"
#include "simd/lanes.h"
#include "simd/simd.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr int64_t kInsertion = 24, kShort = 4096, kTask = 16384;

// The sorted arrays are those that `keys` and `places` point to in the end.
template <class T>
struct Row {
  Key<T>* keys;
  Key<T>* other_keys;
  int32_t* places;
  int32_t* other_places;

  Row(const SortParts<T>& parts, int slot)
      : keys(parts.keys[slot]),
        other_keys(parts.other_keys[slot]),
        places(parts.places[slot]),
        other_places(parts.other_places[slot]) {}

  void sort(int64_t n) {
    if (n <= kInsertion)
      insert(n);
    else if (n <= kShort)
      sort_bytes(n);
    else
      radix_sort<T>(keys, other_keys, places, other_places, n);
  }

 private:
  void insert(int64_t n) {
    for (int64_t i = 1; i < n; ++i) {
      const Key<T> key = keys[i];
      const int32_t place = places[i];
      int64_t j = i;
      for (; j > 0 && keys[j - 1] > key; --j) {
        keys[j] = keys[j - 1];
        places[j] = places[j - 1];
      }
      keys[j] = key;
      places[j] = place;
    }
  }

  void sort_bytes(int64_t n) {
    constexpr int kBytes = sizeof(T);
    uint16_t count[kBytes][256] = {};
    for (int64_t i = 0; i < n; ++i)
      EINKORN_UNROLL for (int d = 0; d < kBytes; ++d)++ count[d][keys[i] >> (8 * d) & 255];
    for (int d = 0; d < kBytes; ++d) {
      uint16_t* const here = count[d];
      const auto digit = [d](Key<T> key) { return static_cast<int>(key >> (8 * d) & 255); };
      if (here[digit(keys[0])] == n) continue;
      uint16_t sum = 0;
      for (int v = 0; v < 256; ++v) {
        const uint16_t next = static_cast<uint16_t>(sum + here[v]);
        here[v] = sum;
        sum = next;
      }
      for (int64_t i = 0; i < n; ++i) {
        const int64_t to = here[digit(keys[i])]++;
        other_keys[to] = keys[i];
        other_places[to] = places[i];
      }
      Key<T>* const sorted = other_keys;
      other_keys = keys;
      keys = sorted;
      int32_t* const along = other_places;
      other_places = places;
      places = along;
    }
  }
};

template <class T>
EINKORN_INLINE Key<T> ordered_key(T x, bool falling) {
  const Key<T> key = to_key(x);
  return falling ? static_cast<Key<T>>(~key) : key;
}

template <class Body>
EINKORN_INLINE void for_tasks(const Workspace& ws, int64_t rows, int64_t n, double cost, const Body& body) {
  const int64_t together = n >= kTask ? 1 : kTask / (n > 0 ? n : 1);
  parallel_for(ws, (rows + together - 1) / together, cost * static_cast<double>(n * together),
               [&](int64_t task, int slot) {
                 const int64_t end = (task + 1) * together < rows ? (task + 1) * together : rows;
                 for (int64_t r = task * together; r < end; ++r) body(r, slot);
               });
}

template <class T>
void sort_row(Row<T> row, const T* x, T* values, int64_t* index, int64_t n, int64_t kept, bool falling) {
  for (int64_t i = 0; i < n; ++i) {
    row.keys[i] = ordered_key(x[i], falling);
    row.places[i] = static_cast<int32_t>(i);
  }
  row.sort(n);
  for (int64_t i = 0; i < kept; ++i) {
    index[i] = row.places[i];
    values[i] = x[row.places[i]];
  }
}

// The lanes of v that may beat the bar; NaN is for the keys to decide.
template <class T>
EINKORN_INLINE IntVec<T> may_beat(Vec<T> v, Vec<T> bar, bool largest) {
  return largest ? ~(v <= bar) : ~(v >= bar);
}

template <class T>
void topk_row(Row<T> row, const T* x, T* values, int64_t* index, int64_t n, int64_t k, int64_t room, bool largest) {
  int64_t held = 0;
  Key<T> bar = static_cast<Key<T>>(~Key<T>{0});
  bool full = false;  // whether there is a bar
  Vec<T> bar_value = {};
  const auto shrink = [&] {
    row.sort(held);
    held = held < k ? held : k;
    if (held < k) return;
    full = true;
    bar = row.keys[k - 1];
    bar_value = broadcast(x[row.places[k - 1]]);
  };
  const auto join = [&](int64_t i) {
    const Key<T> key = ordered_key(x[i], largest);
    if (full && key >= bar) return;  // of equals the first one stays
    if (held == room) {
      shrink();
      if (key >= bar) return;
    }
    row.keys[held] = key;
    row.places[held++] = static_cast<int32_t>(i);
  };
  int64_t i = 0;
  for (; i < n && i < room; ++i) join(i);
  if (i < n) shrink();
  while (i < n) {
    const int64_t lanes = n - i < kLanes<T> ? n - i : kLanes<T>;
    uint64_t hits = bits_of_lanes<T>(may_beat<T>(load_n(x + i, lanes), bar_value, largest));
    if (lanes < kLanes<T>) hits &= (uint64_t{1} << lanes) - 1;
    for (; hits != 0; hits &= hits - 1) join(i + __builtin_ctzll(hits));
    i += lanes;
  }
  row.sort(held);
  for (int64_t j = 0; j < k; ++j) {
    index[j] = row.places[j];
    values[j] = x[row.places[j]];
  }
}

}  // namespace

template <class T>
void sort(const Sort<T>& k) {
  if (k.rows == 0 || k.n == 0) return;
  const SortParts<T> parts = carve<SortParts<T>>(k);
  for_tasks(k.ws, k.rows, k.n, 8.0, [&](int64_t r, int slot) {
    sort_row(Row<T>(parts, slot), k.x + r * k.n, k.values + r * k.n, k.index + r * k.n, k.n, k.n, k.descending);
  });
}

template <class T>
void topk(const TopK<T>& k) {
  if (k.rows == 0 || k.k == 0) return;
  const SortParts<T> parts = carve<SortParts<T>>(k);
  const int64_t room = topk_room(k.n, k.k);
  for_tasks(k.ws, k.rows, k.n, room == k.n ? 8.0 : 0.5, [&](int64_t r, int slot) {
    const T* const x = k.x + r * k.n;
    if (room == k.n)
      sort_row(Row<T>(parts, slot), x, k.values + r * k.k, k.index + r * k.k, k.n, k.k, k.largest);
    else
      topk_row(Row<T>(parts, slot), x, k.values + r * k.k, k.index + r * k.k, k.n, k.k, room, k.largest);
  });
}

template <class T>
void search_sorted(const SearchSorted<T>& k) {
  for_tasks(k.ws, k.rows, k.m, 20.0, [&](int64_t r, int) {
    const T* const sorted = k.sorted + (k.sorted_rows == 1 ? 0 : r * k.n);
    for (int64_t j = 0; j < k.m; ++j) {
      const T v = k.values[r * k.m + j];
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
      k.out[r * k.m + j] = low;
    }
  });
}

EINKORN_INSTANTIATE(sort, Sort)
EINKORN_INSTANTIATE(topk, TopK)
EINKORN_INSTANTIATE(search_sorted, SearchSorted)

}  // namespace einkorn::EINKORN_ISA
