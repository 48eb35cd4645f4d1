// A piece of the images of a whole batch, one image a lane, with its zeros around it:
//
//      image 0   a b c ...                a0 a1 ... a15            position (c, y, x) is one vector, so every lane works however
//      image 1   a b c ...        ->      b0 b1 ... b15            narrow the images are, whatever stride and dilation are,
//      ...                                ...                      and every load is aligned
//
// Layout [channel][row][column][lane]. Lanes past the last image hold zeros.

#pragma once

#include "kernels/conv/conv_plan.h"
#include "simd/simd.h"
#include "simd/transpose.h"

namespace einkorn {
inline namespace EINKORN_ISA {

// `rows` rows of in_w pixels, contiguous in each of `images` images, into rows of `width` vectors, from column `left` on.
template <class T>
void spread_images(T* out, int64_t width, int64_t left, const T* in, int64_t image_step, int64_t images, int64_t rows,
                   int64_t in_w) {
  constexpr int L = kLanes<T>;
  out += left * L;
  int64_t x = 0;
  for (int64_t at = 0; at < rows * in_w; at += L) {
    const int64_t live = smaller(L, rows * in_w - at);
    Vec<T> v[L];
    if (images >= L && live == L)
      EINKORN_UNROLL for (int i = 0; i < L; ++i) v[i] = load(in + i * image_step + at);
    else
      EINKORN_UNROLL for (int i = 0; i < L; ++i) v[i] =
          i < images ? load_partial(in + i * image_step + at, live) : Vec<T>{};
    transpose_square<T>(v);
    EINKORN_UNROLL for (int i = 0; i < L; ++i) {
      if (i >= live) break;
      store(out, v[i]);
      out += L;
      if (++x == in_w) x = 0, out += (width - in_w) * L;
    }
  }
}

// `count` vectors back into the images: out[i * image_step + j] = in[j] lane i, j < count.
template <class T>
void gather_images(T* out, int64_t image_step, int64_t images, const T* in, int64_t count) {
  constexpr int L = kLanes<T>;
  for (int64_t at = 0; at < count; at += L) {
    const int64_t live = smaller(L, count - at);
    Vec<T> v[L];
    EINKORN_UNROLL for (int i = 0; i < L; ++i) v[i] = i < live ? load(in + (at + i) * L) : Vec<T>{};
    transpose_square<T>(v);
    EINKORN_UNROLL for (int i = 0; i < L; ++i) if (i < images) store_n(out + i * image_step + at, live, v[i]);
  }
}

template <class T>
EINKORN_INLINE void fill_zeros(T* out, int64_t count) {
  for_vectors<T>(count, [&](int64_t i, int64_t n) { store_n(out + i, n, Vec<T>{}); });
}

// The piece whose first row is `y` of the image and whose first column is `x` (both may lie outside), `rows` rows high.
// `in` is the plane of the first channel of the first image. Rows outside are left as they are when not wanted.
template <class T>
void fill_batch(T* piece, const T* in, int64_t channels, int64_t in_h, int64_t in_w, int64_t image_step, int64_t images,
                const BatchBand& band, int64_t y, int64_t x, int64_t rows, bool want_outside) {
  constexpr int64_t L = kLanes<T>;
  const int64_t first_column = larger(x, 0), columns = smaller(x + band.width, in_w) - first_column,
                left = first_column - x;
  const int64_t first_row = larger(y, 0), end_row = larger(smaller(y + rows, in_h), first_row);
  for (int64_t c = 0; c < channels; ++c, in += in_h * in_w, piece += band.in_rows * band.width * L) {
    if (want_outside || columns <= 0) {
      fill_zeros(piece, smaller(first_row - y, rows) * band.width * L);
      fill_zeros(piece + smaller(end_row - y, rows) * band.width * L,
                 (rows - smaller(end_row - y, rows)) * band.width * L);
    }
    for (int64_t row = first_row; row < end_row; ++row) {
      T* to = piece + (row - y) * band.width * L;
      fill_zeros(to, columns > 0 ? left * L : band.width * L);
      if (columns > 0) fill_zeros(to + (left + columns) * L, (band.width - left - columns) * L);
    }
    if (columns == in_w)
      spread_images(piece + (first_row - y) * band.width * L, band.width, left, in + first_row * in_w, image_step,
                    images, end_row - first_row, in_w);
    else if (columns > 0)
      for (int64_t row = first_row; row < end_row; ++row)
        spread_images(piece + (row - y) * band.width * L, band.width, left, in + row * in_w + first_column, image_step,
                      images, 1, columns);
  }
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
