// Convolution with a batch of images in the lanes, for few output channels.
//
//      piece of 16 images, one a lane (conv_batch.h)             outputs of 16 images, one a lane
//
//      (c, y, x)   +----------------+                 (k, y, x)  +----------------+
//                  | a0 a1 ...  a15 |   tap (r, s)               | o0 o1 ...  o15 |   transposed back, 16 positions at a time
//                  | b0 b1 ...  b15 |   ---------->              |                |
//                  +----------------+                            +----------------+
//
//   registers: rows (output channels) x positions. No lane idles however narrow the images are, no load crosses a cache line, and
//   each tile sums over the taps that touch it alone: an input gradient, whose outermost pixels see few outputs, does not
//   multiply the zeros around them (LeNet's second layer: half of all products).
//
// Steps run over (r, s, channel), so that a rectangle of taps is a few runs of steps.
//
// Versions, one core, GFLOP/s by the definition's count: forward of LeNet's layers N64 1->6 28x28 5x5 / 6->16 14x14 5x5, of
// N16 3->32 150x150 3x3; input gradient of the two layers
//   straight from the image (conv_direct.cpp), lanes along rows          141 / 121; 131;    58 /  80
//   batch in lanes, input gradient without the zeros around              114 / 190;  85;    74 / 161
//   the same for sums of 48 terms and more, else straight                145 / 190; 134;    75 / 161
// Sums of 25 or 27 terms cost less than transposing their results. The second layer's input gradient needs 31 MFLOP, 60 with
// zeros, 37 by tiles of 4 positions.

#include "kernels/conv/conv_batch.h"

#include "kernels/conv/conv_methods.h"
#include "kernels/conv/conv_tile.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr int kMostVectors = 4;

template <class T>
struct BatchJob {
  const T* a;  // weights [step][rows]
  const int32_t* offset;
  int64_t first, runs, run_size, run_step;  // steps first + i * run_step + [0, run_size), i < runs
  const T* in[kMostVectors];                // where the offsets of each position count from
  T* out;                                   // [row][position][lane]
  int64_t out_step;                         // between rows
  const T* bias;                            // may be null
  int live;
  bool relu;
};

template <class T, int kRows, int kVectors>
void run_batch(const BatchJob<T>& job) {
  TapTile<T, kRows, kVectors> tile;
  tile.clear();
  EINKORN_UNROLL for (int v = 0; v < kVectors; ++v) tile.in[v] = job.in[v];
  for (int64_t run = 0, k = job.first; run < job.runs; ++run, k += job.run_step)
    tile.add(job.a + k * kRows, job.offset + k, job.run_size);
  tile.finish(job.live, job.bias, job.relu, [&](int r, int v, Vec<T> y) __attribute__((always_inline)) {
    store(job.out + r * job.out_step + v * kLanes<T>, y);
  });
}

template <class T>
using Batch = void (*)(const BatchJob<T>&);

template <class T>
Batch<T> choose_batch(int rows, int vectors) {
  Batch<T> body = nullptr;
  with_rows(rows, [&]<int kRows>() {
    if (vectors == 1) body = &run_batch<T, kRows, 1>;
    if (vectors == 2) body = &run_batch<T, kRows, 2>;
    if constexpr (kRows * 3 <= kTileRows * kTileVectors)
      if (vectors == 3) body = &run_batch<T, kRows, 3>;
    if constexpr (kRows * 4 <= kTileRows * kTileVectors)
      if (vectors == 4) body = &run_batch<T, kRows, 4>;
  });
  return body;
}

struct TapRange {
  int64_t begin, end;
};

// Of `taps` taps, the range outside which none falls into [0, size) from any of the positions first, ..., last.
template <class OffsetOf>
TapRange touching(int64_t taps, int64_t first, int64_t last, int64_t step, int64_t size, const OffsetOf& offset_of) {
  TapRange range = {taps, 0};
  for (int64_t t = 0; t < taps; ++t)
    if (last * step + offset_of(t) >= 0 && first * step + offset_of(t) < size) range = {smaller(range.begin, t), t + 1};
  return range.end == 0 ? TapRange{0, 0} : range;
}

}  // namespace

template <class T>
void convolve_by_batch(const TapConvolution<T>& c, const BatchScratch<T>& scratch, const Workspace& ws) {
  constexpr int64_t L = kLanes<T>;
  const int64_t plane = c.out_h * c.out_w;
  if (c.images == 0 || c.grid_h == 0 || c.grid_w == 0 || c.out_channels == 0) return;
  int64_t first_y = c.tap[0].dy, first_x = c.tap[0].dx, taps_x = 0;
  for (int t = 0; t < c.taps; ++t) {
    first_y = smaller(first_y, c.tap[t].dy);
    first_x = smaller(first_x, c.tap[t].dx);
    taps_x += c.tap[t].dy == c.tap[0].dy;
  }
  const int64_t taps_y = c.taps / taps_x, steps = c.taps * c.in_channels;
  const BatchBand& band = scratch.band;
  for (int t = 0; t < c.taps; ++t)
    for (int64_t i = 0; i < c.in_channels; ++i)
      scratch.offsets[t * c.in_channels + i] =
          static_cast<int32_t>(((i * band.in_rows + c.tap[t].dy - first_y) * band.width + c.tap[t].dx - first_x) * L);

  const RowPanels panels = row_panels(c.out_channels, kTileRows);
  for (int64_t g = 0; g < c.groups; ++g)
    for (int64_t p = 0; p < panels.count; ++p) {
      T* a = scratch.weights + (g * panels.count + p) * steps * panels.rows;
      for (int t = 0; t < c.taps; ++t)
        for (int64_t i = 0; i < c.in_channels; ++i)
          for (int r = 0; r < panels.rows; ++r) {
            const int64_t o = p * panels.rows + r;
            *a++ = o < c.out_channels ? c.w[g * c.w_group_step + o * c.w_out_step + i * c.w_in_step + c.tap[t].index]
                                      : T(0);
          }
    }
  const int most = static_cast<int>(smaller(kMostVectors, kTileRows * kTileVectors / panels.rows));
  Batch<T> body[kMostVectors + 1] = {};
  for (int v = 1; v <= most; ++v) body[v] = choose_batch<T>(panels.rows, v);
  const bool late_activation = c.activation != Activation::none && c.activation != Activation::relu;
  const double cost = 0.01 * static_cast<double>(L * steps * c.out_channels * band.rows * c.grid_w);

  parallel_for(ws, ceil_div(c.images, L) * c.groups * band.count, cost, [&](int64_t task, int slot) {
    const int64_t first = task % band.count * band.rows, rows = smaller(band.rows, c.grid_h - first);
    const int64_t group = task / band.count % c.groups, image = task / band.count / c.groups * L;
    const int64_t images = smaller(L, c.images - image), positions = rows * c.grid_w;
    T* piece = scratch.pieces[slot];
    T* sums = scratch.sums[slot];
    fill_batch(piece, c.in + (image * c.groups + group) * c.in_channels * c.in_h * c.in_w, c.in_channels, c.in_h,
               c.in_w, c.groups * c.in_channels * c.in_h * c.in_w, images, band, first * c.in_step_y + first_y, first_x,
               (rows - 1) * c.in_step_y + band.tall, !c.touching_only);

    for (int64_t p = 0; p < panels.count; ++p) {
      const int64_t o = group * c.out_channels + p * panels.rows;
      BatchJob<T> job;
      job.a = scratch.weights + (group * panels.count + p) * steps * panels.rows;
      job.offset = scratch.offsets;
      job.out_step = positions * L;
      job.live = static_cast<int>(smaller(panels.rows, c.out_channels - p * panels.rows));
      job.bias = c.bias != nullptr ? c.bias + o : nullptr;
      job.relu = c.activation == Activation::relu;
      TapRange r = {0, taps_y}, s = {0, taps_x};
      // Tiles end with their row where their place decides which taps they need.
      for (int64_t at = 0; at < positions;) {
        const int64_t y = at / c.grid_w, x = at % c.grid_w;
        const int64_t row_tiles = ceil_div(c.grid_w, most), row_tile = ceil_div(c.grid_w, row_tiles);
        const int64_t now = c.touching_only ? smaller(row_tile, c.grid_w - x) : smaller(most, positions - at);
        if (c.touching_only) {
          if (x == 0)
            r = touching(taps_y, first + y, first + y, c.in_step_y, c.in_h,
                         [&](int64_t t) { return c.tap[t * taps_x].dy; });
          s = touching(taps_x, x, x + now - 1, c.in_step_x, c.in_w, [&](int64_t t) { return c.tap[t].dx; });
        }
        const bool whole = s.begin == 0 && s.end == taps_x;
        job.first = (r.begin * taps_x + s.begin) * c.in_channels;
        job.runs = whole ? 1 : r.end - r.begin;
        job.run_size = (s.end - s.begin) * (whole ? r.end - r.begin : 1) * c.in_channels;
        job.run_step = taps_x * c.in_channels;
        for (int64_t v = 0; v < now; ++v) {
          const int64_t row = (at + v) / c.grid_w, column = (at + v) % c.grid_w;
          job.in[v] = piece + (row * c.in_step_y * band.width + column * c.in_step_x) * L;
        }
        job.out = sums + at * L;
        body[now](job);
        at += now;
      }
      if (late_activation)
        for (int64_t i = 0; i < job.live * positions * L; i += L)
          store(sums + i, activate(load(sums + i), c.activation));
      for (int i = 0; i < job.live; ++i)
        gather_images(c.out + (image * c.groups * c.out_channels + o + i) * plane + first * c.out_w,
                      c.groups * c.out_channels * plane, images, sums + i * positions * L, positions);
    }
  });
}

template void convolve_by_batch(const TapConvolution<float>&, const BatchScratch<float>&, const Workspace&);
template void convolve_by_batch(const TapConvolution<double>&, const BatchScratch<double>&, const Workspace&);

}  // namespace einkorn::EINKORN_ISA
