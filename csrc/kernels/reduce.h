// Sums, maxima and minima over any set of axes; argmax; a range check for indices.
//
//   reduce_sum   out = scale / divisor * sum of x over the reduced axes
//   reduce_max   out = max of x,  reduce_min   out = min of x,  reduce_prod   out = product of x
//   argmax       out[o, i] = the first j with the largest x[o, j, i]
//   first_out_of_range   *position = the first i with index[i] outside [low, high) and != ignore, or -1
//   clamp_indices        out[i] = index[i], brought into [low, high) where it is outside and != ignore; *position, -1 before,
//                        is the first such i. Nobody waits: who reads *position later knows whether out is what was meant.
//
// Layout      reduce: x any strides, out contiguous over the kept axes.
//             argmax: x contiguous [outer, n, inner], out contiguous [outer, inner].
// Aliasing    none.
// Zero sizes  clamp_indices needs low < high. No output: nothing happens. An empty reduction: sum 0 (times scale / divisor), max -inf, min +inf, product 1.
//             argmax needs n > 0; an empty index list is in range.
// NaN         propagates; the first NaN is the argmax.
// Sums        accumulate in T, in vectors of partial sums over a few thousand elements that are then added pairwise.
// Writes      every element of out. The work is cut by the shape alone and partial results are combined in order:
//             same bits for any thread count.
// Cost        1 FLOP an element; bytes: x once, out once (and partial results, at most 1/32 of x).

#pragma once

#include "kernels/layout.h"
#include "kernels/table.h"
#include "runtime/carver.h"
#include "runtime/parallel.h"

namespace einkorn {

// x's axes in two groups. Kept axes stand in out's order; reduced ones in any order, the one with the smallest step
// last. Both are merged where x steps through neighbours as through one, and have at least one axis (of size 1).
struct ReduceLayout {
  int kept_ndim, reduced_ndim;
  int64_t kept_shape[kMaxDims], kept_strides[kMaxDims];
  int64_t reduced_shape[kMaxDims], reduced_strides[kMaxDims];  // steps are not negative
};

template <class T>
struct Reduce {
  T* out;
  const T* x;
  ReduceLayout layout;
  T scale, divisor;  // of sums; a mean divides by the number of elements, so that it is as exact as T allows
  Workspace ws;      // scratch: ReduceParts
};

template <class T>
struct Argmax {
  int64_t* out;
  const T* x;
  int64_t outer, n, inner;
  Workspace ws;
};

struct FirstOutOfRange {
  int64_t* position;
  const int64_t* index;
  int64_t size, low, high, ignore;
  Workspace ws;
};

struct ClampIndices {
  int64_t* out;
  int64_t* position;
  const int64_t* index;
  int64_t size, low, high, ignore;
  Workspace ws;
};

#define EINKORN_REDUCE_KERNELS(X) \
  X(reduce_sum, Reduce)           \
  X(reduce_max, Reduce)           \
  X(reduce_min, Reduce)           \
  X(reduce_prod, Reduce)          \
  X(argmax, Argmax)

#define EINKORN_REDUCE_INDEX_KERNELS(X)  \
  X(first_out_of_range, FirstOutOfRange) \
  X(clamp_indices, ClampIndices)

EINKORN_FLOAT_TABLE(ReduceKernels, EINKORN_REDUCE_KERNELS)
EINKORN_INDEX_TABLE(ReduceIndexKernels, EINKORN_REDUCE_INDEX_KERNELS)

inline namespace EINKORN_ISA {

// How a reduction is cut into tasks: a block of outputs by a chunk of the reduced elements. See reduce.cpp.
struct ReducePlan {
  bool along_rows;        // lanes run along a reduced axis; otherwise along the outputs
  int64_t outputs;        // of the whole reduction
  int64_t reduced;        // elements of each output
  int64_t block, blocks;  // row way: outputs of a task; column way: units of a task, a unit being `width` outputs
  int64_t chunk, chunks;  // row way: runs of a task; column way: reduced elements of a task
  int64_t piece;          // row way: elements of a run along the last reduced axis
  int64_t width;          // column way: outputs of a unit, neighbours on the last kept axis
  int64_t fold;           // column way: rows without gaps that are taken as one, because a single one is short
  int64_t task_elements;
};

inline int64_t clamp_between(int64_t value, int64_t low, int64_t high) {
  return value < low ? low : (value > high ? high : value);
}

inline int64_t divide_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

constexpr int64_t kReduceRows = 64;   // outputs that one row-way task keeps in flight, at most
constexpr int64_t kReduceFold = 256;  // elements of the short rows that are taken as one, at most

inline ReducePlan reduce_plan(const ReduceLayout& layout) {
  constexpr int64_t kTask = 32768;   // elements of a task, about
  constexpr int64_t kPiece = 16384;  // elements of a run, and of a row-way chunk of short runs
  constexpr int64_t kWidth = 2048;
  constexpr int64_t kManyUnits = 64;  // then columns are not cut for the sake of threads

  ReducePlan plan = {};
  plan.outputs = plan.reduced = 1;
  for (int d = 0; d < layout.kept_ndim; ++d) plan.outputs *= layout.kept_shape[d];
  for (int d = 0; d < layout.reduced_ndim; ++d) plan.reduced *= layout.reduced_shape[d];
  if (plan.outputs == 0 || plan.reduced == 0) return plan;

  const int64_t n = layout.reduced_shape[layout.reduced_ndim - 1],
                step = layout.reduced_strides[layout.reduced_ndim - 1];
  const int64_t columns = layout.kept_shape[layout.kept_ndim - 1], kept = layout.kept_strides[layout.kept_ndim - 1];
  const int64_t kept_step = kept < 0 ? -kept : kept;
  plan.along_rows = columns == 1 || kept == 0 || (step <= kept_step && plan.reduced >= 8);

  if (plan.along_rows) {
    plan.piece = clamp_between(n, 1, kPiece);
    const int64_t runs = plan.reduced / n * divide_up(n, kPiece);
    plan.chunk = clamp_between(kPiece / plan.piece, 1, runs);
    plan.chunks = divide_up(runs, plan.chunk);
    plan.block = clamp_between(kTask / (plan.chunk * plan.piece), 1, kReduceRows);
    plan.blocks = divide_up(plan.outputs, plan.block);
    plan.task_elements = plan.block * plan.chunk * plan.piece;
  } else {
    plan.width = clamp_between(columns, 1, kWidth);
    const bool gapless = kept == 1 && step == columns && layout.reduced_ndim == 1;
    plan.fold = gapless ? clamp_between(kReduceFold / columns, 1, plan.reduced) : 1;
    const int64_t units = plan.outputs / columns * divide_up(columns, kWidth);
    const int64_t rows = units >= kManyUnits ? 512 : clamp_between(kTask / (plan.width * plan.fold), 32, 512);
    plan.chunk = clamp_between(rows * plan.fold, 1, plan.reduced);
    plan.chunks = divide_up(plan.reduced, plan.chunk);
    plan.block = clamp_between(kTask / (plan.chunk * plan.width), 1, units);
    plan.blocks = divide_up(units, plan.block);
    plan.task_elements = plan.block * plan.chunk * plan.width;
  }
  return plan;
}

template <class T>
struct ReduceParts {
  T* partial;  // [chunks, outputs], none for one chunk

  ReduceParts(Carver& c, const Reduce<T>& k) {
    const ReducePlan plan = reduce_plan(k.layout);
    partial = c.take<T>(plan.chunks > 1 ? plan.chunks * plan.outputs : 0);
  }
};

}  // namespace EINKORN_ISA
}  // namespace einkorn
