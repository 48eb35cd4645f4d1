// Binning of columns, and histograms of gradients over the bins: what histogram boosting reads its data through.
//
//   bin_edges           for each column the thresholds between its bins, from (some of) its rows
//   bin_columns         codes[f, r] = number of edges[f] below x[r, f]; so x <= edges[f][k] exactly when code <= k
//                       NaN: missing_code.  Categorical column: edges[f] are the categories themselves, ascending;
//                       code = the place of trunc(x) among them, or their number when it is not there
//   histogram           out[f, b] = (sum of g, sum of h, number) of the rows r of `rows` with codes[f, r] = b
//   histogram_subtract  out = a - b: the histogram of a node's other child
//
// Bins       A column with at most max_bins distinct values has one for each, and edges in the middle between
//            neighbours, rounded so that in the type of x they separate them. Else bins of about equal weight, filled from
//            below; a value that weighs as much as a whole bin has one of its own. An edge next to an infinity is the
//            finite neighbour or the infinity itself, whichever has x <= edge on one side only.
// Shapes     x [rows, n] with any strides; edges [n, max_bins - 1] (bin_edges) or packed, those of column f at
//            offsets[f] to offsets[f + 1]; codes [n, rows] contiguous uint8 or uint16; histograms [n, bins, 3] double.
// Order      Rows with weight are sorted by value alone: equal values may be summed in any fixed order.
// Zero sizes No rows: one bin, no edges; no codes; histograms of zeros.
// NaN        bin_edges leaves such rows out, and rows of weight 0. Gradients: propagates.
// Checks     rows and offsets are in range and weights finite and >= 0: the op has seen to it. `histogram` leaves out codes
//            that are no bin.
// Writes     All of codes, counts and histograms; edges up to counts[f] - 1.
// Determinism  bin_edges: a column is one task. histogram: a feature's rows in blocks of kHistogramBlock, added in order.
// Cost       bin_edges: a radix sort of each column's rows, 3 passes for float, 6 for double. bin_columns: log2(bins) steps
//            of a binary search an element; bytes: x once, codes once. histogram: 3 additions a row and feature.

#pragma once

#include "kernels/layout.h"
#include "kernels/table.h"
#include "runtime/carver.h"
#include "runtime/parallel.h"

namespace einkorn {

template <class T>
struct BinEdges {
  double* edges;
  int32_t* counts;  // [n] bins of each column
  const T* x;
  const int64_t* rows;   // [row_count] those that count; null: all
  const double* weight;  // [row_count], beside `rows`; null: ones
  int64_t row_count, n;
  int64_t row_stride, column_stride;
  int64_t max_bins;
  Workspace ws;  // scratch: BinEdgesParts
};

template <class T>
struct BinColumns {
  void* codes;
  const T* x;
  const double* edges;
  const int64_t* offsets;      // [n + 1]
  const uint8_t* categorical;  // [n]
  int64_t rows, n;
  int64_t row_stride, column_stride;
  int code_bytes;  // 1 or 2
  int missing_code;
  int64_t table_size;  // of all columns' tables together
  Workspace ws;        // scratch: BinColumnsParts
};

struct Histogram {
  double* out;
  const void* codes;
  const double* gradients;
  const double* hessians;  // null: ones
  const int64_t* rows;     // [row_count]; null: all
  int64_t row_count, all_rows, n, bins;
  int code_bytes;
  Workspace ws;  // scratch: HistogramParts
};

struct HistogramSubtract {
  double* out;  // may be a or b
  const double* a;
  const double* b;
  int64_t size;
  Workspace ws;
};

// Rows of a histogram that one task adds up.
constexpr int64_t kHistogramBlock = 65536;

// A table of edges is padded to a power of two; so many elements for `edges` of them.
inline int64_t bin_table_size(int64_t edges) {
  int64_t size = 1;
  while (size <= edges) size *= 2;
  return size;
}

inline namespace EINKORN_ISA {

// Of a column, for each thread.
template <class T>
struct BinEdgesColumn {
  double* weights;  // of the distinct values
  T* keys[2];       // as unsigned integers of the same size
  int32_t* place[2];

  BinEdgesColumn(Carver& c, const BinEdges<T>& k) : weights(c.take<double>(k.row_count)) {
    for (T*& key : keys) key = c.take<T>(k.row_count);
    for (int32_t*& p : place) p = c.take<int32_t>(k.weight != nullptr ? k.row_count : 0);
  }
};

template <class T>
struct BinEdgesParts {
  PartsOfEach<BinEdgesColumn<T>, BinEdges<T>> columns;

  BinEdgesParts(Carver& c, const BinEdges<T>& k) : columns(c.each<BinEdgesColumn<T>>(k.ws.threads, k)) {}
};

template <class T>
struct BinColumnsParts {
  int64_t* table_at;  // [n + 1]
  T* tables;

  BinColumnsParts(Carver& c, const BinColumns<T>& k)
      : table_at(c.take<int64_t>(k.n + 1)), tables(c.take<T>(k.table_size)) {}
};

struct HistogramParts {
  double* partial;  // [blocks, n, bins, 3], none for one block

  HistogramParts(Carver& c, const Histogram& k) {
    const int64_t blocks = (k.row_count + kHistogramBlock - 1) / kHistogramBlock;
    partial = c.take<double>(blocks > 1 ? blocks * k.n * k.bins * 3 : 0);
  }
};

}  // namespace EINKORN_ISA

#define EINKORN_HISTOGRAM_KERNELS(X) \
  X(bin_edges, BinEdges)             \
  X(bin_columns, BinColumns)

#define EINKORN_HISTOGRAM_INDEX_KERNELS(X) \
  X(histogram, Histogram)                  \
  X(histogram_subtract, HistogramSubtract)

EINKORN_FLOAT_TABLE(HistogramKernels, EINKORN_HISTOGRAM_KERNELS)
EINKORN_INDEX_TABLE(HistogramIndexKernels, EINKORN_HISTOGRAM_INDEX_KERNELS)

}  // namespace einkorn
