// Embeddings: rows copied, and rows of gradients summed.
//
// Many entries may refer to one row, and additions in the order in which threads come by would give other bits each time. So
// the entries are sorted by their row first, keeping their order, and every row of the gradient is one task's:
//
//     index      7 2 7 0 2 7                      sums of a task's rows
//     row        0 | 2 2 | 7 7 7      sorted      0: g[3]
//     entry      3 | 1 4 | 0 2 5                  2: g[1] + g[4]        rows between: 0, stored past the caches when the
//     start      0   1     3       6              7: g[0] + g[2] + g[5]               gradient is large
//
// The sort is a radix sort of 11 bits a pass, as many passes as the number of rows needs: two for a vocabulary of 50,257,
// some 20 us for 2048 entries, beside 154 MB of gradient to write.

#include "kernels/embedding.h"

#include <math.h>

#include "kernels/instantiate.h"
#include "simd/lanes.h"
#include "simd/math.h"
#include "simd/stream.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr int64_t kTaskElements = 32768;  // what one task copies or sums

EINKORN_INLINE int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

// body(begin, end) for blocks of rows, `work` elements each in all.
template <class Body>
EINKORN_INLINE void for_row_blocks(const Workspace& ws, int64_t rows, int64_t work, const Body& body) {
  if (rows == 0) return;
  const int64_t each = work / rows + 1, fit = kTaskElements / each + 1, block = fit < rows ? fit : rows;
  parallel_for(ws, (rows + block - 1) / block, 0.2 * static_cast<double>(block * each),
               [&](int64_t task, int) { body(task * block, least(rows, task * block + block)); });
}

template <class T>
EINKORN_INLINE void copy_row(T* out, const T* x, int64_t n) {
  for_vectors<T>(n, [&](int64_t j, int64_t live) { store_n(out + j, live, load_n(x + j, live)); });
}

template <class T>
EINKORN_INLINE void fill_row(T* out, int64_t n, T value, bool streamed) {
  const Vec<T> v = broadcast(value);
  int64_t j = 0;
  if (streamed) {
    j = unaligned_elements(out, n);
    if (j > 0) store_partial(out, j, v);
    for (; j + kLanes<T> <= n; j += kLanes<T>) stream(out + j, v);
  }
  for_vectors<T>(n - j, [&](int64_t i, int64_t live) { store_n(out + j + i, live, v); });
}

// The entries that count, sorted by row, and where each distinct row begins; returns the number of those.
template <class T>
int64_t sort_entries(const EmbeddingBackward<T>& k, EmbeddingParts& parts) {
  constexpr int kBits = 11;
  constexpr int64_t kValues = int64_t{1} << kBits;
  int64_t n = 0;
  for (int64_t i = 0; i < k.count; ++i) {
    const int64_t r = k.index[i];
    if (r == k.padding || r < 0 || r >= k.rows) continue;
    if (k.bag != nullptr && (k.bag[i] < 0 || k.bag[i] >= k.g_rows)) continue;
    parts.row[n] = r;
    parts.entry[n++] = i;
  }
  for (int shift = 0; n > 1 && shift < 63 && ((k.rows - 1) >> shift) > 0; shift += kBits) {
    int64_t place[kValues] = {};
    for (int64_t i = 0; i < n; ++i) ++place[(parts.row[i] >> shift) & (kValues - 1)];
    int64_t sum = 0;
    for (int64_t& here : place) {
      const int64_t next = sum + here;
      here = sum;
      sum = next;
    }
    for (int64_t i = 0; i < n; ++i) {
      const int64_t to = place[(parts.row[i] >> shift) & (kValues - 1)]++;
      parts.other_row[to] = parts.row[i];
      parts.other_entry[to] = parts.entry[i];
    }
    int64_t* const row = parts.row;
    parts.row = parts.other_row;
    parts.other_row = row;
    int64_t* const entry = parts.entry;
    parts.entry = parts.other_entry;
    parts.other_entry = entry;
  }
  int64_t distinct = 0;
  for (int64_t i = 0; i < n; ++i)
    if (i == 0 || parts.row[i] != parts.row[i - 1]) parts.start[distinct++] = i;
  parts.start[distinct] = n;
  return distinct;
}

// The sum of one row's entries, entry[0] to entry[n - 1].
template <class T>
void sum_row(const EmbeddingBackward<T>& k, T* out, const int64_t* entry, int64_t n) {
  const T scale = k.by_frequency ? static_cast<T>(1) / static_cast<T>(n) : static_cast<T>(1);
  const auto source = [&](int64_t e) { return (k.bag != nullptr ? k.bag[entry[e]] : entry[e]) * k.width; };
  if (k.place != nullptr) {
    for (int64_t j = 0; j < k.width; ++j) {
      T sum = 0;
      for (int64_t e = 0; e < n; ++e)
        if (k.place[source(e) + j] == entry[e]) sum += k.g[source(e) + j];
      out[j] = sum * scale;
    }
    return;
  }
  constexpr int kGroup = 4;
  int64_t j = 0;
  for (; j + kGroup * kLanes<T> <= k.width; j += kGroup * kLanes<T>) {
    Vec<T> sum[kGroup] = {};
    for (int64_t e = 0; e < n; ++e) {
      const T* const g = k.g + source(e) + j;
      const T factor = k.factor != nullptr ? k.factor[entry[e]] : static_cast<T>(1);
      EINKORN_UNROLL for (int l = 0; l < kGroup; ++l) sum[l] += load(g + l * kLanes<T>) * factor;
    }
    EINKORN_UNROLL for (int l = 0; l < kGroup; ++l) store(out + j + l * kLanes<T>, sum[l] * scale);
  }
  for_vectors<T>(k.width - j, [&](int64_t i, int64_t live) {
    Vec<T> sum = {};
    for (int64_t e = 0; e < n; ++e)
      sum += load_n(k.g + source(e) + j + i, live) * (k.factor != nullptr ? k.factor[entry[e]] : static_cast<T>(1));
    store_n(out + j + i, live, sum * scale);
  });
}

template <class T>
double row_norm(const T* x, int64_t n, double p) {
  double sum = 0;
  for (int64_t j = 0; j < n; ++j) {
    const double size = x[j] < 0 ? -static_cast<double>(x[j]) : static_cast<double>(x[j]);
    if (p == 2)
      sum += size * size;
    else if (p == 1)
      sum += size;
    else if (p == INFINITY)
      sum = size > sum || size != size ? size : sum;
    else
      sum += ::pow(size, p);
  }
  return p == 2 ? ::sqrt(sum) : p == 1 || p == INFINITY ? sum : ::pow(sum, 1 / p);
}

}  // namespace

template <class T>
void embedding_forward(const EmbeddingForward<T>& k) {
  for_row_blocks(k.ws, k.count, k.count * k.width, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      T* const out = k.out + i * k.width;
      const int64_t r = k.index[i];
      if (r >= 0 && r < k.rows)
        copy_row(out, k.weight + r * k.width, k.width);
      else
        fill_row(out, k.width, static_cast<T>(__builtin_nan("")), false);
    }
  });
}

template <class T>
void embedding_backward(const EmbeddingBackward<T>& k) {
  auto parts = carve<EmbeddingParts>(k);
  const int64_t distinct = sort_entries(k, parts), n = parts.start[distinct];
  if (k.gather_rows != nullptr) {
    *k.gather_count = distinct;
    for_row_blocks(k.ws, distinct, n * k.width, [&](int64_t begin, int64_t end) {
      for (int64_t s = begin; s < end; ++s) {
        k.gather_rows[s] = parts.row[parts.start[s]];
        sum_row(k, k.gweight + s * k.width, parts.entry + parts.start[s], parts.start[s + 1] - parts.start[s]);
      }
    });
    return;
  }
  const bool streamed = k.rows * k.width * static_cast<int64_t>(sizeof(T)) >= kStreamFrom;
  for_row_blocks(k.ws, k.rows, (k.rows + n) * k.width, [&](int64_t begin, int64_t end) {
    int64_t s = 0;  // the first row that occurs from `begin` on
    for (int64_t high = distinct; s < high;) {
      const int64_t middle = (s + high) / 2;
      if (parts.row[parts.start[middle]] < begin)
        s = middle + 1;
      else
        high = middle;
    }
    for (int64_t r = begin; r < end; ++r) {
      T* const out = k.gweight + r * k.width;
      if (s < distinct && parts.row[parts.start[s]] == r) {
        sum_row(k, out, parts.entry + parts.start[s], parts.start[s + 1] - parts.start[s]);
        ++s;
      } else {
        fill_row(out, k.width, T{0}, streamed);
      }
    }
    if (streamed) finish_streaming();
  });
}

template <class T>
void embedding_bag_forward(const EmbeddingBagForward<T>& k) {
  for_row_blocks(k.ws, k.bags, (k.bags + k.count) * k.width, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      T* const out = k.out + b * k.width;
      int64_t* const place = k.place != nullptr ? k.place + b * k.width : nullptr;
      fill_row(out, k.width, T{0}, false);
      for (int64_t j = 0; place != nullptr && j < k.width; ++j) place[j] = -1;
      int64_t size = 0;
      const int64_t first = k.offsets[b] < 0 ? 0 : k.offsets[b], last = least(k.count, k.offsets[b + 1]);
      for (int64_t i = first; i < last; ++i) {
        const int64_t r = k.index[i];
        if (r == k.padding || r < 0 || r >= k.rows) continue;
        const T* const x = k.weight + r * k.width;
        if (k.mode == BagMode::max) {
          for (int64_t j = 0; j < k.width; ++j)
            if (size == 0 || x[j] > out[j]) {
              out[j] = x[j];
              place[j] = i;
            }
        } else {
          const T factor = k.factor != nullptr ? k.factor[i] : static_cast<T>(1);
          for_vectors<T>(k.width, [&](int64_t j, int64_t live) {
            store_n(out + j, live, load_n(out + j, live) + load_n(x + j, live) * factor);
          });
        }
        ++size;
      }
      k.bag_size[b] = static_cast<T>(size);
      if (k.mode == BagMode::mean && size > 0) {
        const T divisor = static_cast<T>(size);
        for_vectors<T>(k.width,
                       [&](int64_t j, int64_t live) { store_n(out + j, live, load_n(out + j, live) / divisor); });
      }
    }
  });
}

template <class T>
void embedding_bag_factor_grad(const EmbeddingBagFactorGrad<T>& k) {
  for_row_blocks(k.ws, k.count, k.count * k.width, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t r = k.index[i], b = k.bag[i];
      Vec<T> sum = {};
      if (r != k.padding && r >= 0 && r < k.rows && b >= 0 && b < k.g_rows)
        for_vectors<T>(k.width, [&](int64_t j, int64_t live) {
          sum += load_n(k.g + b * k.width + j, live) * load_n(k.weight + r * k.width + j, live);
        });
      k.gfactor[i] = sum_lanes<T>(sum);
    }
  });
}

// A row belongs to the task of its number, which goes through all entries: rows that occur more than once need no sort.
template <class T>
void embedding_renorm(const EmbeddingRenorm<T>& k) {
  const int64_t tasks = least(64, k.count * k.width / kTaskElements + 1);
  parallel_for(k.ws, tasks, 0.5 * static_cast<double>(k.count * k.width / tasks), [&](int64_t task, int) {
    for (int64_t i = 0; i < k.count; ++i) {
      const int64_t r = k.index[i];
      if (r < 0 || r >= k.rows || r % tasks != task) continue;
      T* const x = k.weight + r * k.width;
      const double norm = row_norm(x, k.width, k.p);
      if (!(norm > k.max_norm)) continue;
      const T factor = static_cast<T>(k.max_norm / (norm + 1e-7));
      for_vectors<T>(k.width, [&](int64_t j, int64_t live) { store_n(x + j, live, load_n(x + j, live) * factor); });
    }
  });
}

template <class T>
void embedding_put(const EmbeddingPut<T>& k) {
  for_row_blocks(k.ws, k.count, k.count * k.width, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t r = k.index[i];
      if (r >= 0 && r < k.rows) copy_row(k.table + r * k.width, k.values + i * k.width, k.width);
    }
  });
}

EINKORN_INSTANTIATE(embedding_forward, EmbeddingForward)
EINKORN_INSTANTIATE(embedding_backward, EmbeddingBackward)
EINKORN_INSTANTIATE(embedding_bag_forward, EmbeddingBagForward)
EINKORN_INSTANTIATE(embedding_bag_factor_grad, EmbeddingBagFactorGrad)
EINKORN_INSTANTIATE(embedding_renorm, EmbeddingRenorm)
EINKORN_INSTANTIATE(embedding_put, EmbeddingPut)

}  // namespace einkorn::EINKORN_ISA
