// Which method computes a convolution, how it is blocked, and how much scratch that takes.
//
// All of it follows from the shape and the number of threads, never from the instruction set, so that the caller can allocate.
// Each method lists its scratch once, in a struct whose constructor takes the parts from a Carver (runtime/carver.h).

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/conv/conv.h"
#include "kernels/divide.h"

namespace einkorn {
inline namespace EINKORN_ISA {

inline int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}
inline int64_t larger(int64_t a, int64_t b) {
  return a > b ? a : b;
}

// Distance between streams that are written side by side: an odd number of float32 cache lines, so that they fall into different
// sets of L1.
inline int64_t odd_lines(int64_t elements) {
  return (ceil_div(elements, 16) | 1) * 16;
}

// Bounds over all instruction sets: a register tile has 6 to 14 rows and at most 32 columns.
constexpr int64_t kMostTileRows = 14, kFewestTileRows = 6, kMostTileColumns = 32;

// Elements between panels of A: whole-vector stores at the end of one must not reach into the next.
constexpr int64_t kPanelRoom = 64;

// Rows of A after padding every panel to the same height (row_panels below).
inline int64_t most_padded_rows(int64_t rows) {
  return rows + ceil_div(rows, kFewestTileRows) + kMostTileRows;
}

// Equal panels of at most `most` rows: 64 rows make 5 panels of 13, not 4 of 14 and one of 8.
struct RowPanels {
  int64_t count;
  int rows;
};
inline RowPanels row_panels(int64_t total, int64_t most) {
  const int64_t count = larger(ceil_div(total, most), 1);
  return {count, static_cast<int>(larger(ceil_div(total, count), 1))};
}

enum class ConvMethod { winograd, strided, batch, direct, gemm, units };

// One tap of the kernel: where it looks relative to an output position, and its place in the R x S weights.
struct Tap {
  int32_t dy, dx, index;
};

// Room for a TapWindow of any instruction set (conv_columns.h).
struct TapWindowRoom {
  int64_t words[16];
};

// --- by matrix product (conv_gemm.cpp) ---

// Blocks of columns that a task packs together: rows of outputs are then written in longer pieces, and panels of w used longer.
inline int64_t gemm_blocks(int64_t steps) {
  return steps <= 256 ? 4 : (steps <= 512 ? 2 : 1);
}

// Phases of an input gradient whose weights are packed together.
constexpr int kPhasesTogether = 4;

// Elements of the weights in panels (conv_panels.h).
inline int64_t weight_room(const ConvShape& s, int64_t in_channels, int64_t out_channels, int64_t phases) {
  return s.groups * (most_padded_rows(out_channels) * in_channels * s.R * s.S +
                     phases * (ceil_div(out_channels, kFewestTileRows) + 1) * kPanelRoom);
}

template <class T>
struct GemmScratch {
  static constexpr ConvMethod kMethod = ConvMethod::gemm;

  Tap* taps;
  T* weights;
  PartOfEach<T> panels;  // of threads
  PartOfEach<TapWindowRoom> windows;
  PartOfEach<T> tiles;

  // `phases` of an input gradient, whose weights lie one after another.
  GemmScratch(Carver& c, const ConvShape& s, int64_t in_channels, int64_t out_channels, int64_t phases, int threads) {
    const int64_t taps_count = s.R * s.S;
    taps = c.take<Tap>(taps_count);
    weights = c.take<T>(weight_room(s, in_channels, out_channels, phases));
    const int64_t steps =
        in_channels * taps_count;  // phases of an input gradient have fewer, and then perhaps more blocks
    panels = c.take_each<T>(threads, larger(gemm_blocks(steps) * steps, 1024) * kMostTileColumns);
    windows = c.take_each<TapWindowRoom>(threads, taps_count);
    tiles = c.take_each<T>(threads, kMostTileRows * kMostTileColumns);
  }
};

// --- straight from the image (conv_direct.cpp) ---

// A band of output rows, and the padded piece of the image that it reads.
struct DirectBand {
  int64_t rows;              // of outputs
  int64_t first_y, first_x;  // the taps' least offsets: where the piece starts, relative to the band's first position
  int64_t tall;              // rows that one row of outputs reads, from the first tap's to the last's
  int64_t in_rows, width;    // of the piece; width for each remainder modulo the stride
};

// Elements of the piece, at most, unless one row of outputs needs more: half of L2.
constexpr int64_t kMostPiece = 96 * 1024;

// Whole vectors of positions, of at most 16 lanes, as the furthest tap sees them.
inline int64_t piece_width(int64_t reach_x, int64_t step_x, int64_t grid_w) {
  return ceil_div(grid_w, 16) * 16 + reach_x / step_x;
}

// `reach`: the last tap's offset less the first's.
inline DirectBand direct_band(int64_t first_y, int64_t first_x, int64_t reach_y, int64_t reach_x, int64_t step_y,
                              int64_t step_x, int64_t grid_h, int64_t grid_w, int64_t channels) {
  DirectBand b;
  b.first_y = first_y;
  b.first_x = first_x;
  b.tall = reach_y + 1;
  b.width = piece_width(reach_x, step_x, grid_w);
  const int64_t rows = ceil_div(1024, larger(grid_w, 1));
  b.rows = larger(smaller(grid_h, channels == 1 ? ceil_div(rows, 8) * 8 : rows), 1);  // depthwise takes eight at a time
  while (b.rows > 1 && channels * ((b.rows - 1) * step_y + b.tall) * step_x * b.width > kMostPiece) b.rows /= 2;
  b.in_rows = (b.rows - 1) * step_y + b.tall;
  return b;
}

// Rows of an image one close to the other, with zeros between them that end one and begin the next: at stride 1, of one channel.
struct CloseRows {
  int64_t left;   // elements before the first row, of whole vectors
  int64_t pitch;  // from one row to the next
};

inline CloseRows close_rows(int64_t first_x, int64_t reach_x, int64_t in_w, int64_t grid_w) {
  const int64_t left = larger(-first_x, 0), right = larger(grid_w + first_x + reach_x - in_w, 0);
  return {ceil_div(left, 16) * 16, ceil_div(in_w + larger(left, right), 16) * 16};
}

// Elements a channel for one row of outputs.
inline int64_t most_piece_row(int64_t reach_y, int64_t reach_x, int64_t step_x, int64_t grid_w) {
  return (reach_y + 1) * step_x * piece_width(reach_x, step_x, grid_w);
}

template <class T>
struct DirectScratch {
  static constexpr ConvMethod kMethod = ConvMethod::direct;

  Tap* taps;
  int32_t* offsets;
  T* weights;
  PartOfEach<T> planes;  // of threads

  // grid_w and step_w of the forward pass, or of the widest phase of the input gradient.
  DirectScratch(Carver& c, const ConvShape& s, int64_t in_channels, int64_t out_channels, int64_t grid_w,
                int64_t step_w, int threads) {
    const int64_t taps_count = s.R * s.S;
    taps = c.take<Tap>(taps_count);
    offsets = c.take<int32_t>(in_channels * taps_count);
    weights = c.take<T>(weight_room(s, in_channels, out_channels, 1));
    const int64_t plane = larger(
        kMostPiece,
        in_channels * most_piece_row(s.dilation_h * (s.R - 1), s.dilation_w * (s.S - 1), step_w, larger(grid_w, 1)));
    // Depthwise reads a few rows past its piece, whose sums it leaves.
    const int64_t past = 3 * s.stride_h * step_w * piece_width(s.dilation_w * (s.S - 1), step_w, larger(grid_w, 1));
    planes = c.take_each<T>(threads, plane + past);
  }
};

// Few output channels, where packing the implicit matrix costs as much as the product.
inline bool has_few_outputs(int64_t in_channels, int64_t out_channels) {
  return in_channels > 0 && out_channels <= 32;
}

// Or more, where windows overlap, rows of outputs fill vectors, bands are high enough for their pieces to overlap little, and there
// are enough of them to share out: packing copies every pixel once a tap, which costs some twelfth vector for a channel.
inline bool suits_direct(const ConvShape& s, int64_t in_channels, int64_t out_channels, int64_t step_y, int64_t step_x,
                         int64_t grid_h, int64_t grid_w) {
  if (has_few_outputs(in_channels, out_channels)) return true;
  const int64_t idle = ceil_div(grid_w, 16) * 16 - grid_w;
  const int64_t four_rows =
      most_piece_row(s.dilation_h * (s.R - 1) + 3 * step_y, s.dilation_w * (s.S - 1), step_x, larger(grid_w, 1));
  return s.R * s.S > 1 && idle * out_channels <= 12 * grid_w && in_channels * four_rows <= kMostPiece &&
         s.N * grid_h * grid_w >= 8192;
}

// Depthwise: one channel in and one out in each group (conv_depthwise.cpp, in the same scratch).
inline bool is_depthwise(const ConvShape& s) {
  return s.groups > 1 && s.C == s.groups && s.K == s.groups;
}

// --- a batch of images in the lanes (conv_batch.cpp) ---

// Images side by side in the widest vectors; narrower ones take fewer.
constexpr int64_t kBatchLanes = 16;

// Positions of a band, and elements of the piece under it, at most: sums and piece share L2.
constexpr int64_t kMostBatchPositions = 256, kMostBatchPiece = 96 * 1024;

// A band of output rows of all images of a vector, and the piece that it reads.
struct BatchBand {
  int64_t rows, count;           // rows of outputs a band, bands an image
  int64_t tall, in_rows, width;  // input rows under one row of outputs, under a band; columns
  bool fits;
};

inline BatchBand batch_band(int64_t images, int64_t channels, int64_t reach_y, int64_t reach_x, int64_t step_y,
                            int64_t step_x, int64_t grid_h, int64_t grid_w, int64_t most_positions,
                            int64_t least_tasks) {
  BatchBand b;
  b.tall = reach_y + 1;
  b.width = (larger(grid_w, 1) - 1) * step_x + reach_x + 1;
  b.rows = smaller(larger(grid_h, 1), larger(most_positions / larger(grid_w, 1), 1));
  const int64_t row = channels * b.width * kBatchLanes;
  b.fits = row * b.tall <= kMostBatchPiece && grid_w <= most_positions;
  while (b.rows > 1 && row * ((b.rows - 1) * step_y + b.tall) > kMostBatchPiece) --b.rows;
  // Few images: bands enough to share out.
  b.count = smaller(larger(ceil_div(grid_h, b.rows), ceil_div(least_tasks, ceil_div(larger(images, 1), kBatchLanes))),
                    larger(grid_h, 1));
  b.rows = larger(ceil_div(grid_h, b.count), 1);
  b.count = ceil_div(grid_h, b.rows);
  b.in_rows = (b.rows - 1) * step_y + b.tall;
  return b;
}

inline BatchBand forward_batch_band(const ConvShape& s) {
  return batch_band(s.N, s.C / s.groups, s.dilation_h * (s.R - 1), s.dilation_w * (s.S - 1), s.stride_h, s.stride_w,
                    s.OH, s.OW, kMostBatchPositions, 8);
}
inline BatchBand input_grad_batch_band(const ConvShape& s) {  // at stride 1
  return batch_band(s.N, s.K / s.groups, s.dilation_h * (s.R - 1), s.dilation_w * (s.S - 1), 1, 1, s.H, s.W,
                    kMostBatchPositions, 8);
}

// Whether images fill the lanes of vectors as well as a row of positions does.
inline bool images_fill_lanes(int64_t images, int64_t row) {
  return images * ceil_div(row, kBatchLanes) >= row * ceil_div(images, kBatchLanes);
}

// Terms of a sum, at least: fewer do not pay for transposing it back.
constexpr int64_t kFewestBatchTerms = 48;

inline bool suits_batch_forward(const ConvShape& s) {
  return !is_depthwise(s) && s.C / s.groups * s.R * s.S >= kFewestBatchTerms && images_fill_lanes(s.N, s.OW) &&
         forward_batch_band(s).fits;
}
inline bool suits_batch_input_grad(const ConvShape& s) {
  return !is_depthwise(s) && s.stride_h == 1 && s.stride_w == 1 && s.K / s.groups * s.R * s.S >= kFewestBatchTerms &&
         images_fill_lanes(s.N, s.W) && input_grad_batch_band(s).fits;
}

template <class T>
struct BatchScratch {
  static constexpr ConvMethod kMethod = ConvMethod::batch;

  BatchBand band;
  Tap* taps;
  int32_t* offsets;
  T* weights;
  PartOfEach<T> pieces;  // of threads
  PartOfEach<T> sums;

  BatchScratch(Carver& c, const ConvShape& s, int64_t in_channels, int64_t out_channels, const BatchBand& band,
               int threads)
      : band(band) {
    const int64_t taps_count = s.R * s.S;
    taps = c.take<Tap>(taps_count);
    offsets = c.take<int32_t>(in_channels * taps_count);
    weights = c.take<T>(s.groups * most_padded_rows(out_channels) * in_channels * taps_count);
    pieces = c.take_each<T>(threads, in_channels * band.in_rows * band.width * kBatchLanes);
    sums = c.take_each<T>(threads, kMostTileRows * kMostBatchPositions * kBatchLanes);
  }
};

// --- by Winograd's method (conv_winograd.cpp) ---

template <class T>
struct WinogradScratch {
  static constexpr ConvMethod kMethod = ConvMethod::winograd;

  T* weights;              // U
  PartOfEach<T> inputs;    // V, of threads
  PartOfEach<T> products;  // M

  WinogradScratch(Carver& c, int64_t in_channels, int64_t out_channels, int threads) {
    weights = c.take<T>(16 * most_padded_rows(out_channels) * in_channels + kPanelRoom);
    inputs = c.take_each<T>(threads, 16 * (in_channels + 1) * kMostTileColumns + kPanelRoom);
    products = c.take_each<T>(threads, 16 * kMostTileRows * kMostTileColumns + kPanelRoom);
  }
};

// --- at stride 2 by Winograd's method (conv_winograd_strided.cpp) ---

// Whether blocks of tiles make enough tasks.
inline bool has_many_strided_blocks(int64_t tiles) {
  return tiles > 7 * kMostTileColumns;
}

template <class T>
struct StridedScratch {
  static constexpr ConvMethod kMethod = ConvMethod::strided;

  T* weights;           // U, and V of a block, where blocks are many
  PartOfEach<T> input;  // of threads
  T* inputs;            // V, and U of a panel, where they are few
  PartOfEach<T> panel;
  PartOfEach<T> products, outputs;

  // `tile_size` outputs of a tile in each direction: 2 forward, 4 back.
  StridedScratch(Carver& c, int64_t in_channels, int64_t out_channels, int64_t images, int64_t out_h, int64_t out_w,
                 int64_t tile_size, int threads) {
    const int64_t tiles = images * ceil_div(out_h, tile_size) * ceil_div(out_w, tile_size);
    const bool many = has_many_strided_blocks(tiles);
    const int64_t points = 9 * 4 * (in_channels + 1);
    weights = c.take<T>(many ? points * most_padded_rows(out_channels) + kPanelRoom : 0);
    input = c.take_each<T>(threads, many ? points * kMostTileColumns + kPanelRoom : 0);
    inputs = c.take<T>(many ? 0 : points * (tiles + kMostTileColumns) + kPanelRoom);
    panel = c.take_each<T>(threads, many ? 0 : points * kMostTileRows + kPanelRoom);
    products = c.take_each<T>(threads, 9 * kMostTileRows * kMostTileColumns + kPanelRoom);
    outputs = c.take_each<T>(threads, 16 * kMostTileRows * kMostTileColumns + kPanelRoom);
  }
};

// 4x4 or 3x3 at stride 2 and padding 1, with channels enough to pay for the transforms.
inline bool suits_strided(const ConvShape& s) {
  return (s.R == 4 || s.R == 3) && s.S == s.R && s.stride_h == 2 && s.stride_w == 2 && s.dilation_h == 1 &&
         s.dilation_w == 1 && s.pad_h == 1 && s.pad_w == 1 && s.groups == 1 && s.C >= 32 && s.K >= 32;
}

// 3x3 at stride 1, with channels enough to pay for the transforms.
inline bool suits_winograd(const ConvShape& s) {
  return s.R == 3 && s.S == 3 && s.stride_h == 1 && s.stride_w == 1 && s.dilation_h == 1 && s.dilation_w == 1 &&
         s.groups == 1 && s.C >= 16 && s.K >= 16;
}

// --- the scratch of a launch: use(scratch of the method) for the method that the shape suits ---

template <class T, class Use>
inline void with_forward_scratch(Carver& c, const Conv2dForward<T>& k, const Use& use) {
  const ConvShape& s = k.shape;
  const int64_t channels = s.C / s.groups, out_channels = s.K / s.groups;
  if (suits_winograd(s))
    use(WinogradScratch<T>(c, s.C, s.K, k.ws.threads));
  else if (suits_strided(s))
    use(StridedScratch<T>(c, s.C, s.K, s.N, s.OH, s.OW, 2, k.ws.threads));
  else if (has_few_outputs(channels, out_channels) && suits_batch_forward(s))
    use(BatchScratch<T>(c, s, channels, out_channels, forward_batch_band(s), k.ws.threads));
  else if (suits_direct(s, channels, out_channels, s.stride_h, s.stride_w, s.OH, s.OW))
    use(DirectScratch<T>(c, s, channels, out_channels, s.OW, s.stride_w, k.ws.threads));
  else
    use(GemmScratch<T>(c, s, channels, out_channels, 1, k.ws.threads));
}

template <class T, template <class> class Args, class Use>  // of the input gradient, or a transposed convolution
inline void with_input_grad_scratch(Carver& c, const Args<T>& k, const Use& use) {
  const ConvShape& s = k.shape;
  const int64_t channels = s.C / s.groups, out_channels = s.K / s.groups;
  if (suits_winograd(s))
    use(WinogradScratch<T>(c, s.K, s.C, k.ws.threads));
  else if (suits_strided(s))
    use(StridedScratch<T>(c, s.K, s.C, s.N, s.H, s.W, 4, k.ws.threads));
  else if (has_few_outputs(out_channels, channels) && suits_batch_input_grad(s))
    use(BatchScratch<T>(c, s, out_channels, channels, input_grad_batch_band(s), k.ws.threads));
  else if (has_few_outputs(out_channels, channels) ||
           (s.stride_h == 1 && s.stride_w == 1 && suits_direct(s, out_channels, channels, 1, 1, s.H, s.W)))
    use(DirectScratch<T>(c, s, out_channels, channels, ceil_div(s.W, s.stride_w), 1, k.ws.threads));
  else
    use(GemmScratch<T>(c, s, out_channels, channels, kPhasesTogether, k.ws.threads));
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
