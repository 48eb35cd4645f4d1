// Binning and plain histograms.
//
// bin_edges: a column's values are sorted by their bits (radix_sort.h) and then run through once.
//
// bin_columns: blocks of kBlock rows; each column of a block is copied to a line of its own, which stays in the L1 cache,
// and searched for kGroup values side by side in a table padded with infinities to a power of two: no branch depends on
// the data.
//
//     x [block, n]    | r0: a b c ... |      line a: | a0 a1 a2 ... |   place += table[place + half - 1] < a ? half : 0
//                     | r1: a b c ... |                                 half = size/2, size/4, ..., 1
//
// 1,000,000 x 28 float32, 254 edges a column, avx512, 2 threads, in ms (LightGBM 4.7, whole construction: 1370)
//   edges from 200,000 rows     50 to 75
//   codes                       53 to 65

#include "kernels/histogram.h"

#include "kernels/instantiate.h"
#include "kernels/radix_sort.h"
#include "simd/simd.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr int64_t kBlock = 512;  // rows of a column that are coded at once
constexpr int kGroup = 64;       // searches side by side

// ---- edges ----

// A threshold t with x <= t for x <= a alone, a < b neighbours: the middle where the type has one.
template <class T>
EINKORN_INLINE T between(T a, T b) {
  const T t = static_cast<T>(a * 0.5 + b * 0.5);
  return t >= a && t < b ? t : a;
}

// Edges of the `distinct` ascending values with these weights; returns the number of bins.
template <class T>
int64_t choose_edges(double* edges, const Key<T>* values, const double* weights, int64_t distinct, int64_t max_bins) {
  const auto edge_after = [&](int64_t i) {
    return static_cast<double>(between(from_key<T>(values[i]), from_key<T>(values[i + 1])));
  };
  if (distinct <= max_bins) {
    for (int64_t i = 0; i + 1 < distinct; ++i) edges[i] = edge_after(i);
    return distinct > 0 ? distinct : 1;
  }
  // Values that fill a bin each get one; the others share the rest of the bins equally.
  double total = 0;
  for (int64_t i = 0; i < distinct; ++i) total += weights[i];
  const double heavy = total / static_cast<double>(max_bins);
  double rest = total;
  int64_t rest_bins = max_bins;
  for (int64_t i = 0; i < distinct; ++i)
    if (weights[i] >= heavy) {
      rest -= weights[i];
      --rest_bins;
    }
  double share = rest_bins > 0 ? rest / static_cast<double>(rest_bins) : 0;
  double filled = 0;
  int64_t bins = 1;
  for (int64_t i = 0; i + 1 < distinct && bins < max_bins; ++i) {
    const bool is_heavy = weights[i] >= heavy;
    if (!is_heavy) rest -= weights[i];
    filled += weights[i];
    if (!is_heavy && filled < share && weights[i + 1] < heavy) continue;
    edges[bins - 1] = edge_after(i);
    ++bins;
    filled = 0;
    if (!is_heavy && --rest_bins > 0) share = rest / static_cast<double>(rest_bins);
  }
  return bins;
}

// An edge in T with the same x <= edge for every x of T.
template <class T>
EINKORN_INLINE T round_down(double edge) {
  const T t = static_cast<T>(edge);
  return static_cast<double>(t) > edge ? from_key<T>(to_key(t) - 1) : t;
}

// ---- codes ----

// place[i] = number of table entries below line[i]; the table has `size` - 1 entries, size a power of two.
template <class T>
EINKORN_INLINE void search(int32_t* place, const T* line, const T* table, int32_t size) {
  for (int i = 0; i < kGroup; ++i) place[i] = 0;
  for (int32_t half = size / 2; half > 0; half /= 2)
    for (int i = 0; i < kGroup; ++i) place[i] += table[place[i] + half - 1] < line[i] ? half : 0;
}

template <class T, class Code>
void code_columns(const BinColumns<T>& k, const T* tables, const int64_t* table_at) {
  const double cost = static_cast<double>(k.n * kBlock) * 2;
  parallel_for(k.ws, (k.rows + kBlock - 1) / kBlock, cost, [&](int64_t block, int) {
    T line[kBlock];
    int32_t place[kGroup];
    const int64_t begin = block * kBlock, rows = k.rows - begin < kBlock ? k.rows - begin : kBlock;
    for (int64_t i = rows; i < kBlock; ++i) line[i] = 0;
    for (int64_t f = 0; f < k.n; ++f) {
      const T* const x = k.x + begin * k.row_stride + f * k.column_stride;
      for (int64_t i = 0; i < rows; ++i) line[i] = x[i * k.row_stride];
      Code* const codes = static_cast<Code*>(k.codes) + f * k.rows + begin;
      const T* const table = tables + table_at[f];
      const auto size = static_cast<int32_t>(table_at[f + 1] - table_at[f]);
      const auto missing = static_cast<Code>(k.missing_code);
      const auto known = static_cast<int32_t>(k.offsets[f + 1] - k.offsets[f]);
      for (int64_t i = 0; i < rows; i += kGroup) {
        const int64_t n = rows - i < kGroup ? rows - i : kGroup;
        if (k.categorical[f] != 0) {
          for (int64_t j = i; j < i + n; ++j) line[j] = static_cast<T>(__builtin_trunc(line[j]));
          search(place, line + i, table, size);
          for (int64_t j = 0; j < n; ++j) {
            const bool found = place[j] < known && table[place[j]] == line[i + j];
            if (!found) place[j] = known;
          }
        } else {
          search(place, line + i, table, size);
        }
        for (int64_t j = 0; j < n; ++j)
          codes[i + j] = line[i + j] == line[i + j] ? static_cast<Code>(place[j]) : missing;
      }
    }
  });
}

// ---- histograms ----

template <class Code>
void add_rows(double* out, const Histogram& k, const Code* codes, int64_t begin, int64_t end) {
  for (int64_t i = 0; i < k.bins * 3; ++i) out[i] = 0;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t r = k.rows != nullptr ? k.rows[i] : i;
    if (codes[r] >= k.bins) continue;
    double* const bin = out + codes[r] * 3;
    bin[0] += k.gradients[r];
    bin[1] += k.hessians != nullptr ? k.hessians[r] : 1.0;
    bin[2] += 1.0;
  }
}

template <class Code>
void histogram_of(const Histogram& k) {
  const int64_t blocks = (k.row_count + kHistogramBlock - 1) / kHistogramBlock, size = k.bins * 3;
  double* const parts = blocks > 1 ? carve<HistogramParts>(k).partial : k.out;
  const int64_t tasks = k.n * (blocks > 0 ? blocks : 1);
  const int64_t rows_each = k.row_count < kHistogramBlock ? k.row_count : kHistogramBlock;
  parallel_for(k.ws, tasks, static_cast<double>(rows_each * 2 + size), [&](int64_t task, int) {
    const int64_t f = task % k.n, block = task / k.n, begin = block * kHistogramBlock;
    const int64_t end = begin + kHistogramBlock < k.row_count ? begin + kHistogramBlock : k.row_count;
    add_rows(parts + task * size, k, static_cast<const Code*>(k.codes) + f * k.all_rows, begin, end);
  });
  if (blocks <= 1) return;
  parallel_for(k.ws, k.n, static_cast<double>(blocks * size), [&](int64_t f, int) {
    for (int64_t i = 0; i < size; ++i) {
      double sum = 0;
      for (int64_t block = 0; block < blocks; ++block) sum += parts[(block * k.n + f) * size + i];
      k.out[f * size + i] = sum;
    }
  });
}

}  // namespace

template <class T>
void bin_edges(const BinEdges<T>& k) {
  const bool weighted = k.weight != nullptr;
  const auto columns = carve<BinEdgesParts<T>>(k).columns;
  parallel_for(
      k.ws, k.n, static_cast<double>(k.row_count) * (sizeof(T) == 4 ? 8 : 16) + 5000, [&](int64_t f, int slot) {
        const BinEdgesColumn<T> own = columns[slot];
        double* const weights = own.weights;
        Key<T>* keys = reinterpret_cast<Key<T>*>(own.keys[0]);
        Key<T>* other = reinterpret_cast<Key<T>*>(own.keys[1]);
        int32_t* place = weighted ? own.place[0] : nullptr;
        int32_t* other_place = weighted ? own.place[1] : nullptr;
        int64_t n = 0;
        for (int64_t i = 0; i < k.row_count; ++i) {
          const T value = k.x[(k.rows != nullptr ? k.rows[i] : i) * k.row_stride + f * k.column_stride];
          const bool counts = value == value && (!weighted || k.weight[i] > 0);
          keys[n] = to_key(value);
          if (weighted) place[n] = static_cast<int32_t>(i);
          n += counts;
        }
        radix_sort<T>(keys, other, place, other_place, n);
        int64_t distinct = 0;
        for (int64_t i = 0; i < n; ++i) {
          const double weight = weighted ? k.weight[place[i]] : 1.0;
          if (distinct > 0 && keys[i] == keys[distinct - 1]) {
            weights[distinct - 1] += weight;
          } else {
            keys[distinct] = keys[i];
            weights[distinct++] = weight;
          }
        }
        k.counts[f] =
            static_cast<int32_t>(choose_edges<T>(k.edges + f * (k.max_bins - 1), keys, weights, distinct, k.max_bins));
      });
}

template <class T>
void bin_columns(const BinColumns<T>& k) {
  const auto [table_at, tables] = carve<BinColumnsParts<T>>(k);
  table_at[0] = 0;
  for (int64_t f = 0; f < k.n; ++f) {
    const int64_t known = k.offsets[f + 1] - k.offsets[f], size = bin_table_size(known);
    table_at[f + 1] = table_at[f] + size;
    T* const table = tables + table_at[f];
    for (int64_t i = 0; i < size; ++i)
      table[i] = i < known ? round_down<T>(k.edges[k.offsets[f] + i]) : static_cast<T>(__builtin_inf());
  }
  k.code_bytes == 1 ? code_columns<T, uint8_t>(k, tables, table_at) : code_columns<T, uint16_t>(k, tables, table_at);
}

void histogram(const Histogram& k) {
  k.code_bytes == 1 ? histogram_of<uint8_t>(k) : histogram_of<uint16_t>(k);
}

void histogram_subtract(const HistogramSubtract& k) {
  constexpr int64_t kPiece = 16384;
  parallel_for(k.ws, (k.size + kPiece - 1) / kPiece, kPiece * 0.4, [&](int64_t piece, int) {
    const int64_t begin = piece * kPiece, size = k.size - begin < kPiece ? k.size - begin : kPiece;
    for_vectors<double>(size, [&, out = k.out + begin, a = k.a + begin, b = k.b + begin](int64_t i, int64_t n) {
      store_n(out + i, n, load_n(a + i, n) - load_n(b + i, n));
    });
  });
}

EINKORN_INSTANTIATE(bin_edges, BinEdges)
EINKORN_INSTANTIATE(bin_columns, BinColumns)

}  // namespace einkorn::EINKORN_ISA
