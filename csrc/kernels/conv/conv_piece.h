// A piece of an image with its zeros around it, columns sorted by their remainder modulo the stride:
//
//      | 0 0 a c e g . |   remainder 0        tap (r, s) of channel c reads a row of outputs from  base + offset[c, r, s]:
//      | 0 0 b d f h . |   remainder 1        always neighboring elements, whatever stride and dilation are
//
// Layout [channel][row][remainder][width].

#pragma once

#include "kernels/conv/conv_plan.h"
#include "simd/shuffle.h"
#include "simd/simd.h"

namespace einkorn {
inline namespace EINKORN_ISA {

// One row of pixels first, first + 1, ... (some outside the image) into `step` rows of `width`, by remainder.
template <class T>
void split_row(T* out, const T* row, int64_t first, int64_t in_w, int64_t step, int64_t width) {
  constexpr int64_t L = kLanes<T>;
  if (step == 1) {
    const int64_t low = smaller(first < 0 ? -first : 0, width), high = larger(smaller(width, in_w - first), low);
    // Whole vectors, whose tail is zeros, as far as the row goes.
    for (int64_t i = 0; i < low; i += L) store_n(out + i, smaller(L, width - i), Vec<T>{});
    int64_t i = low;
    for (; i + L <= width; i += L) store(out + i, i < high ? load_n(row + first + i, smaller(L, high - i)) : Vec<T>{});
    if (i < width) store_partial(out + i, width - i, i < high ? load_partial(row + first + i, high - i) : Vec<T>{});
    return;
  }
  if (step == 2) {
    for_vectors<T>(width, [&](int64_t i, int64_t n) {
      const int64_t x = first + 2 * i;
      const bool inside = x >= 0 && x + 2 * L <= in_w;
      const Vec<T> a = inside ? load(row + x) : load_window(row + x, make_window<T>(-x, in_w - x));
      const Vec<T> b = inside ? load(row + x + L) : load_window(row + x + L, make_window<T>(-x - L, in_w - x - L));
      store_n(out + i, n, even<T>(a, b));
      store_n(out + width + i, n, odd<T>(a, b));
    });
    return;
  }
  for (int64_t phase = 0; phase < step; ++phase, out += width) {
    int64_t x = first + phase;
    for (int64_t i = 0; i < width; ++i, x += step) out[i] = x >= 0 && x < in_w ? row[x] : T(0);
  }
}

// `in` is the plane of the first channel; the piece starts at row y + band.first_y and has `rows` rows.
template <class T>
void fill_piece(T* piece, const T* in, int64_t channels, int64_t in_h, int64_t in_w, const DirectBand& band, int64_t y,
                int64_t rows, int64_t step_x) {
  for (int64_t i = 0; i < channels; ++i, in += in_h * in_w)
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t in_y = y + band.first_y + row;
      const bool inside = in_y >= 0 && in_y < in_h;
      split_row(piece + (i * band.in_rows + row) * step_x * band.width, inside ? in + in_y * in_w : in, band.first_x,
                inside ? in_w : 0, step_x, band.width);
    }
}

// The same of one channel at stride 1, where rows lie close: pixel x of row r at the result[r * close.pitch + x], zeros around.
// A row is its whole vectors and one whose end is zeros.
template <class T>
T* fill_close(T* piece, const CloseRows& close, const T* in, int64_t in_h, int64_t in_w, int64_t y, int64_t rows) {
  constexpr int64_t L = kLanes<T>;
  for (int64_t i = 0; i < close.left; i += L) store(piece + i, Vec<T>{});
  T* const first = piece + close.left;
  T* out = first;
  const int64_t whole = in_w / L * L, tail = in_w - whole;
  for (int64_t row = y; row < y + rows; ++row, out += close.pitch) {
    int64_t i = 0;
    if (row >= 0 && row < in_h) {
      const T* const pixels = in + row * in_w;
      for (; i < whole; i += L) store(out + i, load(pixels + i));
      if (tail > 0) {
        store(out + i, load_partial(pixels + i, tail));
        i += L;
      }
    }
    for (; i < close.pitch; i += L) store(out + i, Vec<T>{});
  }
  return first;
}

// offsets[i * taps + t] within the piece, from the place of a position's first pixel.
inline void tap_offsets(int32_t* offsets, const Tap* tap, int taps, int64_t channels, const DirectBand& band,
                        int64_t step_x) {
  for (int64_t i = 0; i < channels; ++i)
    for (int t = 0; t < taps; ++t) {
      const int64_t x = tap[t].dx - band.first_x, row = i * band.in_rows + tap[t].dy - band.first_y;
      *offsets++ = static_cast<int32_t>((row * step_x + x % step_x) * band.width + x / step_x);
    }
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
