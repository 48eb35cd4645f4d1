// How a weight gradient is computed and blocked, and its scratch: as conv_plan.h has it for the passes over taps.

#pragma once

#include "kernels/conv/conv_plan.h"

namespace einkorn {
inline namespace EINKORN_ISA {

// --- at stride 2 by Winograd's method (conv_winograd_strided_grad.cpp) ---

// Panels of gy that a task multiplies with one of x.
constexpr int64_t kStridedGradPanels = 5;

template <class T>
struct StridedGradScratch {
  static constexpr ConvMethod kMethod = ConvMethod::strided;

  T *x, *gy;             // transformed, in panels
  PartOfEach<T> points;  // of threads: a panel of either before it is packed
  PartOfEach<T> room, products;

  StridedGradScratch(Carver& c, const ConvShape& s, int threads) {
    const int64_t tiles = s.N * ceil_div(s.OH, 2) * ceil_div(s.OW, 2);
    const int64_t panels = s.R == 4 ? 36 : 25;  // of kTileColumns channels of x: points and phases
    x = c.take<T>(panels * tiles * (s.C + kMostTileColumns) + kPanelRoom);
    gy = c.take<T>(9 * tiles * most_padded_rows(s.K) + kPanelRoom);
    points = c.take_each<T>(threads, 9 * (4 * kMostTileColumns + 1) * kMostTileColumns + kPanelRoom);
    room = c.take_each<T>(threads, kMostTileRows * kMostTileColumns + kPanelRoom);
    products = c.take_each<T>(threads, panels * kStridedGradPanels * kMostTileRows * kMostTileColumns + kPanelRoom);
  }
};

// --- by Winograd's method (conv_winograd_grad.cpp) ---

// Tiles that are transformed together: enough that sums rarely leave registers, few enough for the L2 caches.
inline int64_t grad_chunk(const ConvShape& s) {
  const int64_t tiles = larger(s.N * ceil_div(s.OH, 2) * ceil_div(s.OW, 2), 1);
  const int64_t most = larger(smaller(65536 / (s.C + s.K), 256), 128);
  return ceil_div(tiles, ceil_div(tiles, most));
}

template <class T>
struct WinogradGradScratch {
  static constexpr ConvMethod kMethod = ConvMethod::winograd;

  T* inputs[2];          // V of two chunks, by turns
  T* outputs[2];         // Z likewise
  T* sums;               // W
  PartOfEach<T> pixels;  // of threads

  WinogradGradScratch(Carver& c, const ConvShape& s, int threads) {
    const int64_t chunk = grad_chunk(s), padded_c = ceil_div(s.C, kMostTileColumns) * kMostTileColumns;
    for (int i = 0; i < 2; ++i) {
      inputs[i] = c.take<T>(16 * (chunk * padded_c + 32 * ceil_div(s.C, 4)) + kPanelRoom);
      outputs[i] = c.take<T>(16 * (chunk + 32) * most_padded_rows(s.K) + kPanelRoom);
    }
    sums = c.take<T>(16 * most_padded_rows(s.K) * padded_c);
    pixels = c.take_each<T>(threads, 4 * kMostTileColumns * kMostTileColumns);
  }
};

// --- by dot products or products of panels (conv_weight_grad.cpp) ---

// What is added up at a time, a unit: a band of rows of a group of images, one a lane; a band of rows of one image, by dot products
// or by outer products; positions of one image or a few, by outer products; or a block of positions flat over (n, y, x).
enum class GradUnits { batch, rows, outer, points, flat };

// Positions whose gradients are turned together: with 64 channels they and a row of pixels fill L1.
constexpr int64_t kOuterPositions = 128;

// The same of 1x1 kernels, where that of 14x14 pixels is better left whole.
constexpr int64_t kPointPositions = 208;

// Sums of a task, at most, where channels can be cut: with a piece of the image they share L2. And output channels of 1x1 kernels.
constexpr int64_t kMostOuterSums = 128 * 1024, kPointOutputs = 256;

// Channels of the input whose sums and pixels fit.
inline int64_t outer_chunk(const ConvShape& s, int64_t channels, int64_t out_channels) {
  const int64_t four_rows =
      most_piece_row(s.dilation_h * (s.R - 1) + 3 * s.stride_h, s.dilation_w * (s.S - 1), s.stride_w, s.OW);
  const int64_t most = smaller(kMostOuterSums / (s.R * s.S * out_channels), kMostPiece / four_rows);
  return larger(ceil_div(channels, ceil_div(channels, larger(most, 1))), 1);
}

// Channels of the input are cut into chunks, units are dealt out to `parts` with sums of their own.
struct GradBlocking {
  GradUnits kind;
  DirectBand band;
  int64_t bands;
  BatchBand batch;
  int64_t block;            // positions of a flat unit
  int64_t row;              // its rows' distance: not a power of two, which would put all rows into a few of L1's sets
  int64_t chunk, chunks;    // input channels of a group
  int64_t outputs, splits;  // output channels of a group
  int64_t images;           // of a unit of points
  int64_t parts, part_units, units;
};

inline GradBlocking grad_blocking(const ConvShape& s) {
  GradBlocking b;
  const int64_t taps = larger(s.R * s.S, 1), channels = s.C / s.groups, out_channels = s.K / s.groups,
                positions = s.N * s.OH * s.OW;
  const int64_t reach_y = s.dilation_h * (s.R - 1), reach_x = s.dilation_w * (s.S - 1);
  const int64_t least_chunk = larger(smaller(160 / taps, channels), 1);

  // Positions of a band: enough to pay for adding up the lanes, few enough for L1 and L2.
  b.batch = batch_band(s.N, least_chunk, reach_y, reach_x, s.stride_h, s.stride_w, s.OH, s.OW, 200, 1);
  const bool by_batch =
      taps > 1 && out_channels <= 32 && s.stride_w == 1 && b.batch.fits && images_fill_lanes(s.N, s.OW);
  const bool by_rows = taps > 1 && 5 * s.OW >= 3 * ceil_div(s.OW, 16) * 16;
  const bool by_outer = out_channels >= 32 && channels * taps >= 24;  // enough to pay for turning gy, or x
  b.kind = by_batch               ? GradUnits::batch
           : by_outer && taps > 1 ? GradUnits::outer
           : by_outer             ? GradUnits::points
           : by_rows              ? GradUnits::rows
                                  : GradUnits::flat;

  b.splits = b.kind == GradUnits::points ? ceil_div(out_channels, kPointOutputs) : 1;
  b.outputs = ceil_div(out_channels, b.splits);
  b.chunk = 160 / taps;
  if (b.kind == GradUnits::rows)
    b.chunk = smaller(b.chunk, kMostPiece / most_piece_row(reach_y, reach_x, s.stride_w, s.OW));
  if (b.kind == GradUnits::outer) b.chunk = outer_chunk(s, channels, out_channels);
  if (b.kind == GradUnits::points) b.chunk = ceil_div(channels, ceil_div(channels * b.outputs, kMostOuterSums));
  b.chunk = larger(smaller(b.chunk, channels), 1);
  b.chunks = ceil_div(channels, b.chunk);
  b.band = direct_band(-s.pad_h, -s.pad_w, reach_y, reach_x, s.stride_h, s.stride_w, s.OH, s.OW, b.chunk);
  b.bands = ceil_div(s.OH, b.band.rows);
  if (b.kind == GradUnits::rows && b.band.rows * ceil_div(s.OW, 16) < 48)  // too few to pay for adding up the lanes
    b.kind = GradUnits::flat;
  b.block = b.kind == GradUnits::points ? kPointPositions : 1024;
  while (b.kind == GradUnits::flat && b.block > 128 && b.block * b.chunk * taps > 128 * 1024) b.block /= 2;
  b.row = b.block + 16;
  b.units = ceil_div(positions, b.block);
  if (b.kind == GradUnits::rows || b.kind == GradUnits::outer) b.units = s.N * b.bands;
  if (b.kind == GradUnits::batch) b.units = ceil_div(s.N, kBatchLanes) * b.batch.count;
  const int64_t plane = larger(s.OH * s.OW, 1);
  b.images = larger(kPointPositions / plane, 1);
  if (b.kind == GradUnits::points) b.units = ceil_div(s.N, b.images) * ceil_div(plane, kPointPositions);
  b.units = larger(b.units, 1);
  b.part_units = ceil_div(b.units, smaller(b.units, ceil_div(16, larger(s.groups * b.chunks * b.splits, 1))));
  b.parts = ceil_div(b.units, b.part_units);
  return b;
}

template <class T>
struct GradScratch {
  static constexpr ConvMethod kMethod = ConvMethod::units;

  Tap* taps;
  int32_t* offsets;
  T* partial;             // [parts][K][C/groups * taps]
  PartOfEach<T> columns;  // of threads; or the piece of the image, or of the batch
  PartOfEach<T> gy;       // or pixels, of outer products for 1x1 kernels
  PartOfEach<TapWindowRoom> windows;
  PartOfEach<T> sums;  // of outer products, [tap][output channel], of 1x1 kernels [output channel][channel]
  T* bias;             // [parts][K]

  GradScratch(Carver& c, const ConvShape& s, int threads) {
    const GradBlocking b = grad_blocking(s);
    const int64_t taps_count = s.R * s.S, out_channels = s.K / s.groups, cols = b.chunk * taps_count;
    taps = c.take<Tap>(taps_count);
    offsets = c.take<int32_t>(cols);
    partial = c.take<T>(b.parts * s.K * (s.C / s.groups) * taps_count);
    int64_t slot_columns = 0, slot_gy = 0, slot_windows = 0, slot_sums = 0;
    switch (b.kind) {
      case GradUnits::batch:
        slot_columns = b.chunk * b.batch.in_rows * b.batch.width * kBatchLanes;
        slot_gy = out_channels * b.batch.rows * s.OW * kBatchLanes;
        break;
      case GradUnits::rows:
        slot_columns = larger(
            kMostPiece, b.chunk * most_piece_row(s.dilation_h * (s.R - 1), s.dilation_w * (s.S - 1), s.stride_w, s.OW));
        break;
      case GradUnits::outer: {
        const int64_t lanes = ceil_div(out_channels, kBatchLanes) * kBatchLanes;
        slot_columns = larger(
            kMostPiece, b.chunk * most_piece_row(s.dilation_h * (s.R - 1), s.dilation_w * (s.S - 1), s.stride_w, s.OW));
        slot_gy = kOuterPositions * lanes;
        slot_sums = (cols + 8) * lanes;
        break;
      }
      case GradUnits::points: {
        const int64_t lanes = ceil_div(cols, kBatchLanes) * kBatchLanes;
        slot_columns = cols * b.row;
        slot_gy = kPointPositions * lanes;
        slot_sums = (b.outputs + 8) * lanes;
        slot_windows = taps_count;
        break;
      }
      case GradUnits::flat:
        slot_columns = cols * b.row;
        slot_gy = out_channels * b.row;
        slot_windows = taps_count;
        break;
    }
    columns = c.take_each<T>(threads, slot_columns);
    gy = c.take_each<T>(threads, slot_gy);
    windows = c.take_each<TapWindowRoom>(threads, slot_windows);
    sums = c.take_each<T>(threads, slot_sums);
    bias = c.take<T>(b.parts * s.K);
  }
};

// Weight gradient of a depthwise convolution (conv_depthwise_grad.cpp).
template <class T>
struct DepthwiseGradScratch {
  static constexpr ConvMethod kMethod = ConvMethod::direct;

  DirectBand band;
  PartOfEach<T> pieces;  // of threads
  PartOfEach<T> sums;    // a vector for each tap, and one for the bias

  DepthwiseGradScratch(Carver& c, const ConvShape& s, int threads)
      : band(direct_band(-s.pad_h, -s.pad_w, s.dilation_h * (s.R - 1), s.dilation_w * (s.S - 1), s.stride_h, s.stride_w,
                         s.OH, s.OW, 1)) {
    const CloseRows close = close_rows(-s.pad_w, s.dilation_w * (s.S - 1), s.W, s.OW);
    pieces = c.take_each<T>(threads, s.stride_w == 1 ? close.left + band.in_rows * close.pitch + kBatchLanes
                                                     : band.in_rows * s.stride_w * band.width);
    sums = c.take_each<T>(threads, (s.R * s.S + 1) * kBatchLanes);
  }
};

// --- the scratch of a launch, as in conv_plan.h ---

template <class T, class Use>
inline void with_weight_grad_scratch(Carver& c, const Conv2dWeightGrad<T>& k, const Use& use) {
  if (suits_winograd(k.shape))
    use(WinogradGradScratch<T>(c, k.shape, k.ws.threads));
  else if (suits_strided(k.shape))
    use(StridedGradScratch<T>(c, k.shape, k.ws.threads));
  else if (is_depthwise(k.shape))
    use(DepthwiseGradScratch<T>(c, k.shape, k.ws.threads));
  else
    use(GradScratch<T>(c, k.shape, k.ws.threads));
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
