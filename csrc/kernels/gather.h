// gather, scatter: elements taken from, and put to, places that an index array names along one axis.
//
//   gather    out[.., j, ..] = x[.., index[.., j, ..], ..]
//   scatter   out[.., index[.., j, ..], ..] = src[.., j, ..]        set
//             or that plus, times, the larger or the smaller of src and what is there: add, multiply, larger, smaller
//
//              axis                              lanes: the other axes, in which all operands are of one shape
//           +--------+
//      out  | n      |      gather:  index and out are n long along the axis, x is size long
//      x    | size   |      scatter: index and src are n long, out is size long
//           +--------+
//
// Shapes      any strides on all sides, 0 for an index that is the same for all lanes, so that rows, elements of rows and
//             (with x seen as one axis) places of a whole array are the same kernel. Zero sizes do nothing.
// Index       from -size to size - 1, negative ones from the end. What is outside is for the caller to refuse; here it
//             touches no memory: gather gives NaN, scatter leaves it out.
// Aliasing    out overlaps nothing.
// NaN         copied; the larger and the smaller of a number and NaN are NaN.
// Writes      gather all of out, scatter the places that index names.
// Repeated    scatter takes them in the order of j: the last one stays, sums are rounded in that order. A lane belongs
//             to one task, so that bits are the same for any thread count; a single lane is one task.
// Cost        gather moves 2 elements and an index each, scatter 3 and an index (set: 2); 1 FLOP each unless set.

#pragma once

#include "kernels/layout.h"
#include "kernels/table.h"
#include "runtime/parallel.h"

namespace einkorn {

template <class T>
struct Gather {
  T* out;
  const T* x;
  const int64_t* index;
  Layout<3> lanes;  // out, x, index; at most 7 dimensions
  int64_t n, size;
  int64_t out_step, x_step, index_step;
  Workspace ws;
};

enum class ScatterMode : int { set, add, multiply, larger, smaller };

template <class T>
struct Scatter {
  T* out;
  const T* src;
  const int64_t* index;
  Layout<3> lanes;  // out, src, index
  int64_t n, size;
  int64_t out_step, src_step, index_step;
  ScatterMode mode;
  Workspace ws;
};

#define EINKORN_GATHER_KERNELS(X) \
  X(gather, Gather)               \
  X(scatter, Scatter)

EINKORN_FLOAT_TABLE(GatherKernels, EINKORN_GATHER_KERNELS)

}  // namespace einkorn
