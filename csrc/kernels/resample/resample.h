// Resampling: images on another grid. Interpolation by tables, and sampling at points that are given one by one.
//
//   resample     out[p,i,j] = sum over s, t of  row_weights[s,i] * column_weights[t,j] * x[p, rows[s,i], columns[t,j]]
//   grid sample  out[n,c,o] = sum over taps of  weight(point o) * x[n,c,tap]      point o = grid[n,o,:] in [-1, 1], width first
//
//   linear, cubic, nearest, area and antialiased interpolation, up and down, are tables of taps; so is the gradient of each, with
//   the table turned round. RoI align is one more. Taps with index -1 are absent.
//
// Shapes       x [planes, height, width], out [planes, out_height, out_width]; rows, row_weights [row_taps, out_height],
//              columns likewise; a missing table leaves its direction as it is. x [N, C, D, H, W], grid [N, OD, OH, OW, 2 or 3],
//              out [N, C, OD, OH, OW]; with 2, D = OD = 1. All contiguous.
// Grid         mode 0 linear, 1 nearest (half to even), 2 cubic (-0.75; images only). padding 0: pixels outside are zero,
//              1: points are clipped to the image, 2: mirrored at its edges. align: -1 and 1 are the centres of the outermost
//              pixels, else the edges of the image. A NaN coordinate samples nothing: 0.
// Aliasing     none.       Zero sizes  nothing happens, gradients are zero.
// NaN          of x propagates through every tap that is there, also through one of weight 0.
// Accumulates  in T, rows first, then columns; taps in order. Gradients of x plane by plane in the order of the points.
// Writes       every element of the outputs; gx and ggrid may be null. Same bits for any number of threads.
// Cost         resample: row_taps operations an element of [planes, out_height, width], column_taps one of out.

#pragma once

#include <stdint.h>

#include "kernels/table.h"
#include "runtime/carver.h"
#include "runtime/parallel.h"

namespace einkorn {

template <class T>
struct Resample {
  T* out;
  const T* x;
  const int32_t* rows;  // may be null, with its weights
  const T* row_weights;
  const int32_t* columns;  // likewise
  const T* column_weights;
  int64_t planes, height, width, out_height, out_width, row_taps, column_taps;
  Workspace ws;
};

struct GridShape {
  int64_t images, channels, depth, height, width, out_rows, out_width, dims;  // out_rows: OD * OH
  int mode, padding;
  bool align;
};

template <class T>
struct GridSample {
  T* out;
  const T* x;
  const T* grid;
  GridShape shape;
  Workspace ws;
};

template <class T>
struct GridSampleGrad {
  T* gx;
  T* ggrid;
  const T* gy;
  const T* x;
  const T* grid;
  GridShape shape;
  Workspace ws;
};

inline namespace EINKORN_ISA {

// A row that was put together from several, and a vector's room behind it.
template <class T>
struct ResampleParts {
  PartOfEach<T> row;

  ResampleParts(Carver& c, const Resample<T>& k) { row = c.take_each<T>(k.ws.threads, k.width + 64); }
};

}  // namespace EINKORN_ISA

#define EINKORN_RESAMPLE_KERNELS(X)  \
  X(resample, Resample)              \
  X(grid_sample_forward, GridSample) \
  X(grid_sample_backward, GridSampleGrad)

EINKORN_FLOAT_TABLE(ResampleKernels, EINKORN_RESAMPLE_KERNELS)

}  // namespace einkorn
