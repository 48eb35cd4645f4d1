// Convolution of bfloat16 by pairs (gemm_pairs.h): the scratch of its kernels, and how both of them take pixels.
//
//   a run        neighbours in one row of outputs, at most two vectors of them
//   a window     where a tap sees the run's first pixel, and which of the run's pixels lie in the image
//
// Windows are made once a run and used for all channels, as in conv_columns.h.

#pragma once

#include "kernels/conv/conv_plan.h"
#if defined(__AVX512BF16__)
#include "kernels/gemm_pairs.h"
#endif

namespace einkorn {
inline namespace EINKORN_ISA {

struct PairWindow {
  int64_t offset, low, high;  // pixels low to high of the run are inside
  uint32_t mask[2];           // those of its two vectors: a bit a pixel, at stride 2 every second bit
  bool outside;               // above or below the image
  bool first_in_row;          // of the taps
};

constexpr int64_t kPairColumns = 32, kPairRows = 14;  // of a register tile

// Forward, input gradient and transposed convolution. Weights lie in rows of pairs of channels, tap by tap.
struct ConvPairParts {
  Tap* taps;
  int32_t* weights;
  PartOfEach<int32_t> columns;  // of threads
  PartOfEach<PairWindow> windows;
  PartOfEach<float> sums;

  ConvPairParts(Carver& c, const ConvShape& s, int64_t in_channels, int64_t out_channels, int threads) {
    const int64_t taps_count = s.R * s.S, steps = (in_channels + 1) / 2 * taps_count;
    taps = c.take<Tap>(taps_count);
    weights = c.take<int32_t>(s.groups * out_channels * odd_lines(larger(steps, 1)));
    columns = c.take_each<int32_t>(threads, larger(gemm_blocks(steps) * steps, 1024) * kPairColumns);
    windows = c.take_each<PairWindow>(threads, taps_count);
    sums = c.take_each<float>(threads, 2 * kPairRows * kPairColumns);
  }

  ConvPairParts(Carver& c, const Conv2dForward<uint16_t>& k)
      : ConvPairParts(c, k.shape, k.shape.C / k.shape.groups, k.shape.K / k.shape.groups, k.ws.threads) {}
  ConvPairParts(Carver& c, const Conv2dInputGrad<uint16_t>& k)
      : ConvPairParts(c, k.shape, k.shape.K / k.shape.groups, k.shape.C / k.shape.groups, k.ws.threads) {}
  ConvPairParts(Carver& c, const Conv2dTranspose<uint16_t>& k)
      : ConvPairParts(c, k.shape, k.shape.K / k.shape.groups, k.shape.C / k.shape.groups, k.ws.threads) {}
};

// Blocks of positions and chunks of input channels that share L2, as in conv_weight_grad.cpp: parts of the blocks have sums of
// their own.
struct PairGradBlocking {
  int64_t block, row;     // positions; elements from one row of them to the next, not a power of two
  int64_t chunk, chunks;  // input channels of a group
  int64_t blocks, part_blocks, parts;

  explicit PairGradBlocking(const ConvShape& s) {
    const int64_t taps = larger(s.R * s.S, 1), channels = s.C / s.groups;
    chunk = larger(smaller(288 / taps, channels), 1);
    chunks = ceil_div(channels, chunk);
    chunk = larger(ceil_div(channels, larger(chunks, 1)), 1);
    block = (s.K / s.groups + 2 * chunk * taps) * 512 <= 4 * kMostPiece ? 512 : 256;
    while (block > 64 && block * chunk * taps > 256 * 1024) block /= 2;
    row = block + 32;
    blocks = larger(ceil_div(s.N * s.OH * s.OW, block), 1);
    part_blocks = ceil_div(blocks, smaller(blocks, ceil_div(16, larger(s.groups * chunks, 1))));
    parts = ceil_div(blocks, part_blocks);
  }
};

struct ConvPairGradParts {
  Tap* taps;
  float* partial;                    // [parts][K][C / groups * taps]
  float* bias;                       // [parts][K]
  PartOfEach<uint16_t> columns, gy;  // of threads
  PartOfEach<PairWindow> windows;
  PartOfEach<int32_t> panels;
  PartOfEach<float> sums;  // padded to whole tiles; and those of a tile

  ConvPairGradParts(Carver& c, const Conv2dWeightGrad<uint16_t>& k) {
    const ConvShape& s = k.shape;
    const PairGradBlocking b(s);
    const int64_t taps_count = s.R * s.S, cols = b.chunk * taps_count, out_channels = s.K / s.groups;
    const int64_t padded = ceil_div(cols, kPairColumns) * kPairColumns;
    taps = c.take<Tap>(taps_count);
    partial = c.take<float>(b.parts * s.K * (s.C / s.groups) * taps_count);
    bias = c.take<float>(b.parts * s.K);
    columns = c.take_each<uint16_t>(k.ws.threads, cols * b.row);
    gy = c.take_each<uint16_t>(k.ws.threads, out_channels * b.row);
    windows = c.take_each<PairWindow>(k.ws.threads, taps_count);
    panels = c.take_each<int32_t>(k.ws.threads, padded * b.block / 2 + kPanelRoom);
    sums = c.take_each<float>(k.ws.threads, out_channels * padded + kPairRows * kPairColumns);
  }
};

#if defined(__AVX512BF16__)

static_assert(kPairColumns == kTileColumns<float> && kPairRows == kTileRows);

// The pixels of an image that a run sees.
struct PairSource {
  int64_t height, width, grid_h, grid_w, step_y, step_x;
  const Tap* tap;
  int taps;

  // Calls body(image, place of the run, its size) for the runs of positions first, ..., first + count - 1, windows made.
  template <class Body>
  EINKORN_INLINE void for_runs(int64_t first, int64_t count, PairWindow* windows, const Body& body) const {
    for (int64_t j = 0; j < count;) {
      const int64_t image = (first + j) / (grid_h * grid_w), rest = (first + j) % (grid_h * grid_w);
      const int64_t y = rest / grid_w, x = rest % grid_w;
      const int64_t size = smaller(smaller(grid_w - x, count - j), kPairColumns);
      for (int t = 0; t < taps; ++t) {
        PairWindow& w = windows[t];
        const int64_t in_y = y * step_y + tap[t].dy, in_x = x * step_x + tap[t].dx;
        w.outside = in_y < 0 || in_y >= height;
        w.first_in_row = t == 0 || tap[t].dy != tap[t - 1].dy;
        w.offset = w.outside ? 0 : in_y * width + in_x;
        w.low = in_x < 0 ? smaller(ceil_div(-in_x, step_x), size) : 0;
        w.high = !w.outside && in_x < width ? smaller((width - 1 - in_x) / step_x + 1, size) : 0;
        for (int64_t part = 0; part < 2; ++part) {
          const uint64_t low = larger(smaller(w.low - 16 * part, 16), 0),
                         high = larger(smaller(w.high - 16 * part, 16), 0);
          if (step_x == 1)
            w.mask[part] = static_cast<uint32_t>((1ull << high) - 1 & ~((1ull << low) - 1));
          else
            w.mask[part] = static_cast<uint32_t>((1ull << 2 * high) - 1 & ~((1ull << 2 * low) - 1) & 0x55555555);
        }
      }
      body(image, j, size);
      j += size;
    }
  }
};

// Sixteen pixels of a row, each in the lower half of a lane, at stride kStep.
template <int kStep>
EINKORN_INLINE __m512i pixels_in_lanes(const bfloat16* p, uint32_t mask) {
  if constexpr (kStep == 1)
    return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(static_cast<__mmask16>(mask), p));
  else
    return _mm512_maskz_loadu_epi16(mask, p);
}

#endif

}  // namespace EINKORN_ISA
}  // namespace einkorn
