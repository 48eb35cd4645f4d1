// Convolution straight from the image, for few output channels, where packing columns would cost more than multiplying them.
// Batches whose images fill the lanes better than rows do, with long sums, go to conv_batch.cpp.
//
//   a band of rows of one image, with its zeros around it, columns sorted by their remainder modulo the stride:
//
//      | 0 0 a c e g . |   remainder 0        tap (r, s) of channel c reads a row of outputs from  base + offset[c, r, s]:
//      | 0 0 b d f h . |   remainder 1        always neighboring elements, whatever stride and dilation are
//
//   registers: rows (output channels) x vectors of outputs, a segment of one output row each. Narrow images put several rows into
//   one tile. Few output channels take 4 vectors, so that enough sums are under way to hide the latency of the multiply-adds.
//
// Versions, one core, GFLOP/s: LeNet's layers N64 1->6 28x28 5x5 / 6->16 14x14 5x5; N16 3->32 150x150 3x3; input gradient of
// N8 3->64 224x224 7x7 stride 2
//   packed columns (conv_gemm.cpp)                                        28 /  61;  61;  18
//   this, four vectors for few channels                                  143 / 117; 122;  78
//   pieces no wider than the vectors that are read                       142 / 124; 130;  98
//   conv_batch.cpp where it fits                                         142 / 187; 130;  98
// More channels, one core of Emerald Rapids (177) beside other programs; N8 C3->64 224x224 7x7 stride 2 / 11x11 stride 4 / 3x3;
// C64->64 64x64 3x3 dilation 2; C32->128 32x32 5x5; C3->32 224x224 3x3 stride 2
//   packed columns (conv_gemm.cpp)                                       111 /  67 /  97; 120; 147
//   this, where rows fill vectors (suits_direct)                         146 / 118 / 110; 147; 161
//   pixels of stride 2 sorted by vectors, not one by one                 (with it)                    93 for 60
// The stem's 147 steps of 13 x 2 vectors take 10.8 of its 12.9 ms; the rest is writing 26 MB and filling pieces.

#include "kernels/conv/conv_methods.h"
#include "kernels/conv/conv_panels.h"
#include "kernels/conv/conv_piece.h"
#include "kernels/conv/conv_tile.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr int kMostVectors = 4;

// A piece of one row of outputs, at most a vector.
template <class T>
struct Segment {
  const T* in;  // where tap offsets count from
  int64_t size;
  T* out;  // of the panel's first channel
};

template <class T>
struct DirectJob {
  int64_t steps;
  const T* a;
  const int32_t* offset;
  Segment<T> segment[kMostVectors];
  int64_t plane, out_step;
  int live;
  const T* bias;
  bool relu;
};

template <class T, int kRows, int kVectors>
void run_direct(const DirectJob<T>& job) {
  TapTile<T, kRows, kVectors> tile;
  tile.clear();
  EINKORN_UNROLL for (int v = 0; v < kVectors; ++v) tile.in[v] = job.segment[v].in;
  tile.add(job.a, job.offset, job.steps);
  tile.finish(job.live, job.bias, job.relu, [&](int r, int v, Vec<T> y) __attribute__((always_inline)) {
    T* out = job.segment[v].out + r * job.plane;
    if (job.out_step == 1) {
      store_n(out, job.segment[v].size, y);
    } else {
      T lane[kLanes<T>];
      store(lane, y);
      for (int64_t i = 0; i < job.segment[v].size; ++i) out[i * job.out_step] = lane[i];
    }
  });
}

template <class T>
using Direct = void (*)(const DirectJob<T>&);

// Four vectors where the registers hold them.
template <class T>
Direct<T> choose_direct(int rows, int vectors) {
  Direct<T> body = nullptr;
  with_rows(rows, [&]<int kRows>() {
    if (vectors == 1) body = &run_direct<T, kRows, 1>;
    if (vectors == 2) body = &run_direct<T, kRows, 2>;
    if constexpr (kRows * kMostVectors <= kTileRows * kTileVectors)
      if (vectors == kMostVectors) body = &run_direct<T, kRows, kMostVectors>;
  });
  return body;
}

}  // namespace

template <class T>
void convolve_directly(const TapConvolution<T>& c, const DirectScratch<T>& scratch, const Workspace& ws) {
  constexpr int64_t L = kLanes<T>;
  const int64_t steps = c.in_channels * c.taps, plane = c.out_h * c.out_w;
  if (c.images == 0 || c.grid_h == 0 || c.grid_w == 0 || c.out_channels == 0) return;
  int64_t first_y = 0, first_x = 0, last_y = 0, last_x = 0;
  for (int t = 0; t < c.taps; ++t) {
    first_y = t == 0 ? c.tap[t].dy : smaller(first_y, c.tap[t].dy);
    first_x = t == 0 ? c.tap[t].dx : smaller(first_x, c.tap[t].dx);
    last_y = t == 0 ? c.tap[t].dy : larger(last_y, c.tap[t].dy);
    last_x = t == 0 ? c.tap[t].dx : larger(last_x, c.tap[t].dx);
  }
  const DirectBand band = direct_band(first_y, first_x, last_y - first_y, last_x - first_x, c.in_step_y, c.in_step_x,
                                      c.grid_h, c.grid_w, c.in_channels);
  tap_offsets(scratch.offsets, c.tap, c.taps, c.in_channels, band, c.in_step_x);
  const RowPanels panels = row_panels(c.out_channels, kTileRows);
  pack_weights(&c, 1, scratch.weights, panels, ws);
  const int vectors = panels.rows * kMostVectors <= kTileRows * kTileVectors ? kMostVectors : kTileVectors;
  const Direct<T> most = choose_direct<T>(panels.rows, vectors), two = choose_direct<T>(panels.rows, 2),
                  one = choose_direct<T>(panels.rows, 1);
  const bool late_activation = c.activation != Activation::none && c.activation != Activation::relu;
  const int64_t bands = ceil_div(c.grid_h, band.rows);
  const double cost = 0.012 * static_cast<double>(steps * c.out_channels * band.rows * c.grid_w);

  parallel_for(ws, c.images * c.groups * bands, cost, [&](int64_t task, int slot) {
    const int64_t first = task % bands * band.rows, rows = smaller(band.rows, c.grid_h - first);
    const int64_t group = task / bands % c.groups, image = task / bands / c.groups;
    T* planes = scratch.planes[slot];
    fill_piece(planes, c.in + (image * c.groups + group) * c.in_channels * c.in_h * c.in_w, c.in_channels, c.in_h,
               c.in_w, band, first * c.in_step_y, (rows - 1) * c.in_step_y + band.tall, c.in_step_x);

    const int64_t segments_x = ceil_div(c.grid_w, L), segments = rows * segments_x;
    for (int64_t p = 0; p < panels.count; ++p) {
      const int64_t o = group * c.out_channels + p * panels.rows;
      DirectJob<T> job;
      job.steps = steps;
      job.a = scratch.weights + (group * panels.count + p) * panel_step(c, panels);
      job.offset = scratch.offsets;
      job.plane = plane;
      job.out_step = c.out_step_x;
      job.live = static_cast<int>(smaller(panels.rows, c.out_channels - p * panels.rows));
      job.bias = c.bias != nullptr ? c.bias + o : nullptr;
      job.relu = c.activation == Activation::relu;
      for (int64_t s = 0; s < segments;) {
        const int64_t left = segments - s, now = left >= vectors ? vectors : (left >= 2 ? 2 : 1);
        for (int64_t v = 0; v < now; ++v) {
          const int64_t y = (s + v) / segments_x, x = (s + v) % segments_x * L;
          job.segment[v] = {planes + y * c.in_step_y * c.in_step_x * band.width + x, smaller(L, c.grid_w - x),
                            c.out + (image * c.groups * c.out_channels + o) * plane +
                                (c.first_y + (first + y) * c.out_step_y) * c.out_w + c.first_x + x * c.out_step_x};
        }
        (now == vectors ? most : (now == 2 ? two : one))(job);
        if (late_activation)
          for (int64_t v = 0; v < now; ++v)
            for (int r = 0; r < job.live; ++r) {
              T* const out = job.segment[v].out + r * plane;
              const int64_t size = job.segment[v].size;
              if (c.out_step_x == 1) {
                store_n(out, size, activate(load_n(out, size), c.activation));
              } else {
                T lane[L] = {};
                for (int64_t i = 0; i < size; ++i) lane[i] = out[i * c.out_step_x];
                store(lane, activate(load(lane), c.activation));
                for (int64_t i = 0; i < size; ++i) out[i * c.out_step_x] = lane[i];
              }
            }
        s += now;
      }
    }
  });
}

template void convolve_directly(const TapConvolution<float>&, const DirectScratch<float>&, const Workspace&);
template void convolve_directly(const TapConvolution<double>&, const DirectScratch<double>&, const Workspace&);

}  // namespace einkorn::EINKORN_ISA
