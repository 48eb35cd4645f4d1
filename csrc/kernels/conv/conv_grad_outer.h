// Weight gradient by outer products: for each position, the pixels that its taps see times the gradients of its channels.
//
//                     positions of a strip                             registers: 7 taps x 4 vectors of output channels
//                   +-----------------------+
//     gy turned     | all output channels   |  lanes of [position][k]          sum[t][k] += pixel[t] * gy[k]
//                   +-----------------------+
//     pixels        a broadcast for each tap, from a padded piece of the image (conv_piece.h): the pixel of the next position is
//                   the next element, whatever the stride
//
// Of the two operands only gy is turned, once for all taps. Pixels are neither copied for each tap nor turned, which for 64 channels
// and 7x7 taps is what panels of both operands spend a third of the time on. Sums stay in registers over a strip. A 1x1 kernel has the
// operands the other way round: pixels are turned, and gy, an output channel a row, is broadcast from where it lies.
//
// Versions, float32, one core of Emerald Rapids (177 GFLOP/s) beside other programs, gbias included, GFLOP/s; N8
//                                          7x7 stride 2      11x11 stride 4   5x5            5x5 stride 2    3x3 dilation 2   1x1            1x1
//                                          C3 224x224 K64    C3 224x224 K64   C64 56x56 K64  C64 56x56 K128  C256 28x28 K128  C256 14x14     C64 56x56
//                                                                                                                             K1024          K256
//   panels of both operands                      90                62               96            101             108              80            95
//   gy turned, [position][channel]              132               125              150            136             140
//   in panels of four vectors                   132               125              149            135             137             118           103
//   six taps: 28 sums spill one                 129               122              146            132             136             117           100
//   (torch 2.13                                  90                                                                               125             )
// The tile alone, its sums loaded and stored for every strip, runs at 168. Of the 14.3 ms of the first column it takes 11.2; turning
// 25,000 squares of gy is .8 and the pieces and gbias are .3 by count; the rest is gy from memory while it is turned. Asked for evenly
// between the tiles it took as long (13.9 to 14.3; the others 0 to 2% less). Of the 1x1 kernel with 1024 channels a sixth is writing
// and adding up the sums of four parts.

#pragma once

#include "kernels/conv/conv_grad_plan.h"
#include "simd/simd.h"
#include "simd/transpose.h"

namespace einkorn {
inline namespace EINKORN_ISA {

// More taps would spill more than one sum, or take more pointers than there are registers.
constexpr int kOuterTaps = kVectorBytes == 64 ? 7 : 6, kOuterVectors = kVectorBytes == 64 ? 4 : 2;

template <class T>
constexpr int64_t kOuterColumns = int64_t{kOuterVectors} * kLanes<T>;

// Positions row by row, rows of pixels row_step apart. What is turned lies in panels of kOuterColumns lanes, the last one perhaps
// narrower: [panel][position][lane].
template <class T>
struct OuterStrip {
  int64_t rows, width, row_step;
  const T* turned;
  int64_t lanes;  // whole vectors

  EINKORN_INLINE int64_t positions() const { return rows * width; }
  EINKORN_INLINE int64_t columns(int64_t lane) const { return smaller(kOuterColumns<T>, lanes - lane); }
  EINKORN_INLINE const T* panel(int64_t lane) const { return turned + lane * positions(); }
};

// sums[t * s.lanes + lane] += pixels[t] . turned[lane] over the strip, for kVectors vectors of a panel.
template <class T, int kVectors>
void run_outer_tile(const OuterStrip<T>& s, const T* const* pixels, const T* turned, T* sums) {
  constexpr int L = kLanes<T>;
  Vec<T> sum[kOuterTaps][kVectors];
  const T* p[kOuterTaps];
  EINKORN_UNROLL for (int t = 0; t < kOuterTaps; ++t) {
    p[t] = pixels[t];
    EINKORN_UNROLL for (int v = 0; v < kVectors; ++v) sum[t][v] = load(sums + t * s.lanes + v * L);
  }
  for (int64_t y = 0; y < s.rows; ++y) {
    for (int64_t x = 0; x < s.width; ++x, turned += kVectors * L) {
      Vec<T> g[kVectors];
      EINKORN_UNROLL for (int v = 0; v < kVectors; ++v) g[v] = load(turned + v * L);
      EINKORN_UNROLL for (int t = 0; t < kOuterTaps; ++t) {
        const Vec<T> pixel = broadcast(p[t][x]);
        EINKORN_UNROLL for (int v = 0; v < kVectors; ++v) sum[t][v] += pixel * g[v];
      }
    }
    EINKORN_UNROLL for (int t = 0; t < kOuterTaps; ++t) p[t] += s.row_step;
  }
  EINKORN_UNROLL for (int t = 0; t < kOuterTaps; ++t) EINKORN_UNROLL for (int v = 0; v < kVectors; ++v)
      store(sums + t * s.lanes + v * L, sum[t][v]);
}

template <class T>
using OuterTile = void (*)(const OuterStrip<T>& s, const T* const* pixels, const T* turned, T* sums);

template <class T>
OuterTile<T> outer_tile(int64_t columns) {
  const int64_t vectors = columns / kLanes<T>;
  if constexpr (kOuterVectors > 2) {
    if (vectors == 4) return run_outer_tile<T, 4>;
    if (vectors == 3) return run_outer_tile<T, 3>;
  }
  return vectors == 2 ? run_outer_tile<T, 2> : run_outer_tile<T, 1>;
}

// sums[row * s.lanes + lane] over the strip for `rows` rows, of which pixels(row) is the first pixel. A panel stays in L1.
template <class T, class Pixels>
void add_outer(const OuterStrip<T>& s, int64_t rows, T* sums, const Pixels& pixels) {
  for (int64_t lane = 0; lane < s.lanes; lane += kOuterColumns<T>) {
    const OuterTile<T> tile = outer_tile<T>(s.columns(lane));
    for (int64_t first = 0; first < rows; first += kOuterTaps) {
      const T* of[kOuterTaps];
      for (int64_t t = 0; t < kOuterTaps; ++t) of[t] = pixels(smaller(first + t, rows - 1));
      tile(s, of, s.panel(lane), sums + first * s.lanes + lane);
    }
  }
}

// Turns `count` positions, the strip's from `at` on, of `channels` planes, zeros up to its lanes. Planes lie pages apart, so what comes
// `ahead` is asked for.
template <class T>
void turn_channels(const OuterStrip<T>& s, T* out, int64_t at, const T* in, int64_t plane, int64_t channels,
                   int64_t count, int64_t ahead) {
  constexpr int64_t L = kLanes<T>;
  for (int64_t k = 0; k < channels; k += L) {
    const int64_t live = smaller(L, channels - k), lane = k / kOuterColumns<T> * kOuterColumns<T>;
    const int64_t step = s.columns(lane);
    const T* const from = in + k * plane;
    T* const to = out + lane * s.positions() + at * step + k - lane;
    for (int64_t p = 0; p < count; p += L) {
      for (int64_t i = 0; i < live; ++i) __builtin_prefetch(from + i * plane + p + ahead, 0, 2);
      transpose_block(to + p * step, step, from + p, plane, live, smaller(L, count - p));
    }
  }
}

// sums[channel] += what the strip's positions have there.
template <class T>
void add_turned_bias(T* sums, const OuterStrip<T>& s, int64_t channels) {
  constexpr int64_t L = kLanes<T>;
  for (int64_t k = 0; k < channels; k += L) {
    const int64_t lane = k / kOuterColumns<T> * kOuterColumns<T>, step = s.columns(lane),
                  live = smaller(L, channels - k);
    const T* from = s.panel(lane) + k - lane;
    Vec<T> sum[4] = {};
    int64_t p = 0;
    for (; p + 4 <= s.positions(); p += 4)
      EINKORN_UNROLL for (int u = 0; u < 4; ++u) sum[u] += load(from + (p + u) * step);
    for (; p < s.positions(); ++p) sum[0] += load(from + p * step);
    store_n(sums + k, live, load_n(sums + k, live) + ((sum[0] + sum[1]) + (sum[2] + sum[3])));
  }
}

// out[k * out_step + c] = in[c * in_step + k] for c < columns, k < rows.
template <class T>
void turn_sums(T* out, int64_t out_step, const T* in, int64_t in_step, int64_t rows, int64_t columns) {
  constexpr int64_t L = kLanes<T>;
  for (int64_t k = 0; k < rows; k += L) {
    const int64_t live = smaller(L, rows - k);
    int64_t c = 0;
    for (; c + L <= columns; c += L)
      transpose_block(out + k * out_step + c, out_step, in + c * in_step + k, in_step, L, live);
    for (; c < columns; ++c)
      for (int64_t i = 0; i < live; ++i) out[(k + i) * out_step + c] = in[c * in_step + k + i];
  }
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
