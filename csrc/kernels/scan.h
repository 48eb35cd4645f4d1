// Running sums, products and extremes along an axis, and counts.
//
//   cumsum                out[o, j, i] = sum of x[o, l, i] over l <= j, or over l >= j in reverse
//   cumprod               out[o, j, i] = product of x[o, l, i] over l <= j
//   cumprod_grad          gx[o, j, i] = sum over l >= j of g[o, l, i] times the product of x[o, m, i], m <= l, m != j
//   cumulative_extreme    out[o, j, i] = largest (or smallest) x[o, l, i], l <= j; index the last l that has it
//   log_cumsum_exp        out[o, j, i] = log of the sum of exp(x[o, l, i]) over l <= j
//   count_nonzero         out[o, i] = number of l with x[o, l, i] != 0
//   count_values          out[v] = number of i with index[i] = v;  with weights: the sum of theirs
//   count_bins            out[b] = number of i with x[i] in bin b of `bins` between low and high, which is in the last one
//
// Layout      x, g, gx, out contiguous [outer, n, inner]; count_nonzero: out [outer, inner]. index, weights, x of counts: [size].
// Aliasing    out may be x; no other overlap.
// Zero sizes  nothing happens; a count of nothing is 0. Indices outside [0, bins) and numbers outside [low, high] do not count.
// NaN         propagates to all that follow; the first NaN is the extreme from there on. NaN counts as not 0.
// Sums        accumulate in double, in order.
// Writes      every element of out. Same bits for any thread count.
// Cost        1 FLOP an element (log_cumsum_exp 40, cumprod_grad 4); bytes: x and out once.

#pragma once

#include "kernels/table.h"
#include "runtime/parallel.h"

namespace einkorn {

template <class T>
struct Scan {
  T* out;
  const T* x;
  int64_t outer, n, inner;
  bool reverse;
  Workspace ws;
};

template <class T>
struct CumprodGrad {
  T* gx;
  const T* g;
  const T* x;
  int64_t outer, n, inner;
  Workspace ws;
};

template <class T>
struct CumulativeExtreme {
  T* out;
  int64_t* index;
  const T* x;
  int64_t outer, n, inner;
  bool smallest;
  Workspace ws;
};

template <class T>
struct CountNonzero {
  int64_t* out;
  const T* x;
  int64_t outer, n, inner;
  Workspace ws;
};

template <class T>
struct CountBins {
  int64_t* out;
  const T* x;
  int64_t size, bins;
  T low, high;
  Workspace ws;
};

template <class T>
struct WeighValues {
  T* out;
  const int64_t* index;
  const T* weights;
  int64_t size, bins;
  Workspace ws;
};

struct CountValues {
  int64_t* out;
  const int64_t* index;
  int64_t size, bins;
  Workspace ws;
};

#define EINKORN_SCAN_KERNELS(X)            \
  X(cumsum, Scan)                          \
  X(cumprod, Scan)                         \
  X(log_cumsum_exp, Scan)                  \
  X(cumprod_grad, CumprodGrad)             \
  X(cumulative_extreme, CumulativeExtreme) \
  X(count_nonzero, CountNonzero)           \
  X(count_bins, CountBins)                 \
  X(weigh_values, WeighValues)

#define EINKORN_SCAN_INDEX_KERNELS(X) X(count_values, CountValues)

EINKORN_FLOAT_TABLE(ScanKernels, EINKORN_SCAN_KERNELS)
EINKORN_INDEX_TABLE(ScanIndexKernels, EINKORN_SCAN_INDEX_KERNELS)

}  // namespace einkorn
