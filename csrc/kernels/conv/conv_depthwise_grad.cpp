// Weight gradient of a depthwise convolution: for each channel, as many dot products as there are taps.
//
//   gw[t, s] = sum over rows y, columns x of   gy[y, x] * piece[y * step + t, x + s]
//
//   registers: the sums of three columns of taps (9 vectors for 3x3), one vector of gy, one of the piece. A vector of gy is read
//   once for them all. Lanes are added up when all images of the channel are through.
//
// Two threads, microseconds for forward and both gradients, N8 C64: 7x7 3x3 134, 14x14 5x5 296, 28x28 3x3 554.
//
// A task is a channel, so that its sums stay with one thread and are added in the order of images.

#include "kernels/conv/conv_methods.h"
#include "kernels/conv/conv_piece.h"

namespace einkorn::EINKORN_ISA {

namespace {

// A band of one plane.
template <class T>
struct GradBand {
  const T* piece;
  const T* gy;
  int64_t rows, width, piece_step, down;  // from one row of gy to the next in the piece; from one tap to the one below
};

// sums[(t * taps_across + c) * lanes] += the dot products of tap rows t < kTall, of columns c < kColumns at offset[c].
template <class T, int kTall, int kColumns>
void add_taps(T* sums, int64_t taps_across, const int32_t* offset, const GradBand<T>& b) {
  constexpr int64_t L = kLanes<T>;
  Vec<T> sum[kTall][kColumns];
  EINKORN_UNROLL for (int t = 0; t < kTall; ++t) EINKORN_UNROLL for (int c = 0; c < kColumns; ++c) sum[t][c] =
      load(sums + (t * taps_across + c) * L);
  for (int64_t y = 0; y < b.rows; ++y) {
    const T* const gy = b.gy + y * b.width;
    const T* const row = b.piece + y * b.piece_step;
    for_vectors<T>(b.width, [&](int64_t x, int64_t n) {
      const Vec<T> g = load_n(gy + x, n);
      EINKORN_UNROLL for (int t = 0; t < kTall; ++t) EINKORN_UNROLL for (int c = 0; c < kColumns; ++c) sum[t][c] +=
          g * load_n(row + t * b.down + offset[c] + x, n);
    });
  }
  EINKORN_UNROLL for (int t = 0; t < kTall; ++t) EINKORN_UNROLL for (int c = 0; c < kColumns; ++c)
      store(sums + (t * taps_across + c) * L, sum[t][c]);
}

template <class T, int kTall>
void add_rows_of_taps(T* sums, int64_t taps_across, const int32_t* offset, const GradBand<T>& b) {
  int64_t c = 0;
  for (; c + 3 <= taps_across; c += 3) add_taps<T, kTall, 3>(sums + c * kLanes<T>, taps_across, offset + c, b);
  for (; c < taps_across; ++c) add_taps<T, kTall, 1>(sums + c * kLanes<T>, taps_across, offset + c, b);
}

template <class T>
void add_band(T* sums, int64_t tall, int64_t across, const int32_t* offset, const GradBand<T>& b) {
  switch (tall) {
    case 3:
      return add_rows_of_taps<T, 3>(sums, across, offset, b);
    case 5:
      return add_rows_of_taps<T, 5>(sums, across, offset, b);
    default:
      for (int64_t t = 0; t < tall; ++t) {
        GradBand<T> one = b;
        one.piece += t * b.down;
        add_rows_of_taps<T, 1>(sums + t * across * kLanes<T>, across, offset, one);
      }
  }
}

}  // namespace

template <class T>
void weight_grad_depthwise(const Conv2dWeightGrad<T>& k, const DepthwiseGradScratch<T>& scratch) {
  constexpr int64_t L = kLanes<T>;
  const ConvShape& s = k.shape;
  const DirectBand& band = scratch.band;
  const int64_t taps = s.R * s.S, plane = s.OH * s.OW;
  const CloseRows close = close_rows(-s.pad_w, s.dilation_w * (s.S - 1), s.W, s.OW);
  const bool is_close = s.stride_w == 1;
  const int64_t row = is_close ? close.pitch : s.stride_w * band.width;
  const double cost = 0.02 * static_cast<double>((taps + 4) * s.N * s.OH * ceil_div(s.OW, L) * 16 + 100);
  parallel_for(k.ws, s.C, cost, [&](int64_t channel, int slot) {
    T* const piece = scratch.pieces[slot];
    T* const sums = scratch.sums[slot];
    for (int64_t i = 0; i < (taps + 1) * L; i += L) store(sums + i, Vec<T>{});
    for (int64_t n = 0; n < s.N; ++n)
      for (int64_t y = 0; y < s.OH; y += band.rows) {
        const int64_t rows = smaller(band.rows, s.OH - y), at = n * s.C + channel;
        const T* const gy = k.gy + at * plane + y * s.OW;
        const T* const x = k.x + at * s.H * s.W;
        const int64_t in_rows = (rows - 1) * s.stride_h + band.tall;
        const T* first_row = piece;
        if (is_close)
          first_row = fill_close(piece, close, x, s.H, s.W, y * s.stride_h + band.first_y, in_rows);
        else
          fill_piece(piece, x, 1, s.H, s.W, band, y * s.stride_h, in_rows, s.stride_w);
        const GradBand<T> b = {first_row, gy, rows, s.OW, s.stride_h * row, s.dilation_h * row};
        for (int64_t first = 0; first < s.S; first += 9) {  // columns of taps, whose offsets are few at a time
          int32_t offset[9];
          const int64_t across = smaller(9, s.S - first);
          for (int64_t c = 0; c < across; ++c) {
            const int64_t off = (first + c) * s.dilation_w;
            offset[c] =
                static_cast<int32_t>(is_close ? off - s.pad_w : off % s.stride_w * band.width + off / s.stride_w);
          }
          add_band(sums + first * s.R * L, s.R, across, offset, b);
        }
        if (k.gbias != nullptr) {
          Vec<T> sum = load(sums + taps * L);
          for_vectors<T>(rows * s.OW, [&](int64_t i, int64_t m) { sum += load_n(gy + i, m); });
          store(sums + taps * L, sum);
        }
      }
    for (int64_t first = 0; first < s.S; first += 9) {
      const int64_t across = smaller(9, s.S - first);
      for (int64_t t = 0; t < s.R; ++t)
        for (int64_t c = 0; c < across; ++c)
          k.gw[channel * taps + t * s.S + first + c] = sum_lanes<T>(load(sums + (first * s.R + t * across + c) * L));
    }
    if (k.gbias != nullptr) k.gbias[channel] = sum_lanes<T>(load(sums + taps * L));
  });
}

template void weight_grad_depthwise(const Conv2dWeightGrad<float>&, const DepthwiseGradScratch<float>&);
template void weight_grad_depthwise(const Conv2dWeightGrad<double>&, const DepthwiseGradScratch<double>&);

}  // namespace einkorn::EINKORN_ISA
