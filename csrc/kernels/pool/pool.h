// Pooling over windows of a plane: max, average, adaptive average; maxima over windows of any place and size; places of maxima.
//
//   max        out[p,i,j] = max over r, s of x[p, i*stride_h - pad_h + r*dilation_h, j*stride_w - pad_w + s*dilation_w]
//   average    out[p,i,j] = (sum over the window's pixels of x) / divisor
//   adaptive   out[p,i,j] = mean over rows [floor(i H / OH), ceil((i+1) H / OH)) and columns likewise
//
//   H     pad_h  . . . . . . .          Windows are clipped to the plane: padding never wins a maximum and adds nothing
//   to a
//         +---   . o o o o o .          sum. divisor is the window's area clipped to the padded plane when
//         count_include_pad, |      . o[o o]o o .          else the number of pixels in it. The output size is taken
//         from out: it may contain
//         +---   . o[o o]o o .          the windows that ceil_mode adds, which hang over the far edge.
//                . . . . . . .
//
//   window max   out[p,o] = max over the box of x[p] whose ranges begin[...], end[...] give: for each slice, row and column of
//                the outputs one range, the same for all planes or each plane its own. Clipped to the volume; an empty
//                box gives -inf and -1.
//   gather       out[p,i] = x[p, indices[p,i]], 0 for an index outside;   scatter: zeros, then x[p,i] put or added to
//                out[p, indices[p,i]], in the order of i; indices outside are left out. They are each other's adjoint.
//
// Shapes       x [planes, height, width], out [planes, out_height, out_width], planes = N * C, all contiguous; height *
// width
//              below 2^31. Every window of average meets a pixel or gives 0.
// indices      h * width + w of the maximum, the first of several in row-major order, NaN being the largest, and the last
//              of several NaN; -1 (and the maximum -inf) when the taps of a dilated window all lie in the padding.
//              Null: not wanted.
// Aliasing     none.       Zero sizes  no planes: nothing happens.      NaN  wins a maximum, propagates through sums.
// Accumulates  in T: columns first (kernel_h terms), then kernel_w; a global mean in blocks.
// Writes       all of out and indices; all of gx. Backward of max ignores indices outside the plane.
// Determinism  same bits for any thread count: a row of windows, or in the backward a plane, belongs to one task.
// Cost         forward kernel_h + kernel_w operations an output, backward one an input; bytes: every operand once.

#pragma once

#include "kernels/layout.h"
#include "kernels/table.h"
#include "runtime/carver.h"
#include "runtime/parallel.h"

namespace einkorn {

struct PoolShape {
  int64_t planes, height, width, out_height, out_width;
};

struct PoolWindow {
  int64_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
};

template <class T>
struct MaxPool2dForward {
  T* out;
  int32_t* indices;
  const T* x;
  PoolShape shape;
  PoolWindow window;
  Workspace ws;
};

template <class T>
struct MaxPool2dBackward {
  T* gx;
  const T* gy;
  const int32_t* indices;
  PoolShape shape;
  PoolWindow window;
  Workspace ws;
};

template <class T>
struct AvgPool2dForward {
  T* out;
  const T* x;
  PoolShape shape;
  PoolWindow window;
  bool count_include_pad;
  Workspace ws;
};

template <class T>
struct AvgPool2dBackward {
  T* gx;
  const T* gy;
  PoolShape shape;
  PoolWindow window;
  bool count_include_pad;
  Workspace ws;
};

template <class T>
struct AdaptiveAvgPool2dForward {
  T* out;
  const T* x;
  PoolShape shape;
  Workspace ws;
};

template <class T>
struct AdaptiveAvgPool2dBackward {
  T* gx;
  const T* gy;
  PoolShape shape;
  Workspace ws;
};

template <class T>
struct WindowMax {
  T* out;            // [planes, out_size]
  int32_t* indices;  // may be null
  const T* x;        // [planes, size]
  const int32_t* begin;
  const int32_t* end;  // [planes or 1, out_size[0] + out_size[1] + out_size[2]]
  int64_t planes, size[3], out_size[3];
  bool own_windows;  // each plane its own
  Workspace ws;
};

template <class T>
struct PoolGather {
  T* out;      // [planes, count]
  const T* x;  // [planes, size]
  const int32_t* indices;
  int64_t planes, size, count;
  Workspace ws;
};

template <class T>
struct PoolScatter {
  T* out;      // [planes, size]
  const T* x;  // [planes, count]
  const int32_t* indices;
  int64_t planes, size, count;
  bool add;
  Workspace ws;
};

// A thread works on a padded row of the plane with indices beside it, and on a padded row of the output with divisors
// beside it. The slack lets it read and write whole vectors past their ends.
constexpr int64_t kPoolSlack = 64;

inline int64_t pool_row_size(const PoolShape& s, const PoolWindow& w) {
  return s.width + 2 * w.pad_w + (w.kernel_w - 1) * w.dilation_w + 1 + w.stride_w + kPoolSlack;
}

inline int64_t pool_out_row_size(const PoolShape& s, const PoolWindow& w) {
  return s.out_width + s.width + w.pad_w + 2 * w.kernel_w + kPoolSlack;
}

inline namespace EINKORN_ISA {

struct PoolSizes {
  PoolShape shape;
  PoolWindow window;
};

// A thread's rows.
template <class T>
struct PoolRows {
  T* row;         // the padded row of the plane
  char* indices;  // beside it, integers of the size of T
  T* out_row;     // as long as a row of the output, padded
  T* divisors;    // beside it

  PoolRows(Carver& c, const PoolSizes& k)
      : row(c.take<T>(pool_row_size(k.shape, k.window))),
        indices(c.take<char>(pool_row_size(k.shape, k.window) * static_cast<int64_t>(sizeof(T)))),
        out_row(c.take<T>(pool_out_row_size(k.shape, k.window))),
        divisors(c.take<T>(pool_out_row_size(k.shape, k.window))) {}
};

template <class T>
struct PoolParts {
  PartsOfEach<PoolRows<T>, PoolSizes> rows;

  template <class Args>
  PoolParts(Carver& c, const Args& k) {
    PoolSizes sizes = {k.shape, {}};
    if constexpr (requires { k.window; }) sizes.window = k.window;
    rows = c.each<PoolRows<T>>(k.ws.threads, sizes);
  }
};

}  // namespace EINKORN_ISA

#define EINKORN_POOL_KERNELS(X)                              \
  X(max_pool2d_forward, MaxPool2dForward)                    \
  X(max_pool2d_backward, MaxPool2dBackward)                  \
  X(avg_pool2d_forward, AvgPool2dForward)                    \
  X(avg_pool2d_backward, AvgPool2dBackward)                  \
  X(adaptive_avg_pool2d_forward, AdaptiveAvgPool2dForward)   \
  X(adaptive_avg_pool2d_backward, AdaptiveAvgPool2dBackward) \
  X(window_max, WindowMax)                                   \
  X(pool_gather, PoolGather)                                 \
  X(pool_scatter, PoolScatter)

EINKORN_FLOAT_TABLE(PoolKernels, EINKORN_POOL_KERNELS)

}  // namespace einkorn
