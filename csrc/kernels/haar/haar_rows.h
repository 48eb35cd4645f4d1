// Row by row: resizing, integral images, tilted ones. What integral_image, resize_exact and cascade_scan share.
//
// Resizing goes down first: a row blended from two, then along it. All numbers are whole until the one rounding at the
// end, so the order does not matter. The blended row is kept as overlapping pairs, so that both neighbours of an output
// come with one load:
//
//     blended   t0 t1 t2 t3 ...   (16 bits)        pairs   t0|t1  t1|t2  t2|t3 ...   (32 bits)
//
// Up to a factor of 2, the pairs for a vector of outputs are within two vectors of pairs, whose lanes are picked by number
// instead of being gathered from memory.

#pragma once

#include "kernels/haar/haar.h"
#include "simd/narrow.h"
#include "simd/shuffle.h"

namespace einkorn {
inline namespace EINKORN_ISA {
namespace haar {

constexpr int kLane = kLanes<int32_t>;
using Ints = Vec<int32_t>;
using Floats = Vec<float>;

EINKORN_INLINE int64_t at_most(int64_t a, int64_t b) {
  return a < b ? a : b;
}

// ---- resizing ----

// Output i is (256 - weight) / 256 of source and weight / 256 of the one after it.
struct Tap {
  int64_t source;
  int32_t weight;
};

EINKORN_INLINE Tap resize_tap(int64_t i, double ratio, int64_t in) {
  const double f = ratio * (static_cast<double>(i) + 0.5) - 0.5;
  const int64_t a = static_cast<int64_t>(__builtin_floor(f));
  if (a < 0) return {0, 0};
  if (a >= in - 1) return {in - 1, 0};
  return {a, static_cast<int32_t>(__builtin_rint((f - static_cast<double>(a)) * 256.0))};
}

// How far apart in the source neighbours of the output are.
EINKORN_INLINE double resize_ratio(int64_t in, int64_t out) {
  return 1.0 / (static_cast<double>(out) / static_cast<double>(in));
}

inline void fill_columns(const ResizeColumns& columns, int64_t in, int64_t out) {
  const double ratio = resize_ratio(in, out);
  for (int64_t i = 0; i < out; ++i) {
    const Tap tap = resize_tap(i, ratio, in);
    columns.source[i] = static_cast<int32_t>(tap.source);
    columns.weight[i] = tap.weight;
  }
  for (int64_t i = out; i < out + kHaarSlack; ++i) {
    columns.source[i] = static_cast<int32_t>(in - 1);
    columns.weight[i] = 0;
  }
}

// pairs[x] = t[x] | t[x + 1] << 16, t = 256 times the blend of two rows.
inline void blend_rows(int32_t* pairs, const uint8_t* above, const uint8_t* below, int32_t weight, int64_t width) {
  const auto blend = [&](int64_t x)
                         __attribute__((always_inline)) { return above[x] * 256 + (below[x] - above[x]) * weight; };
  const auto blend_vector = [&](int64_t x) __attribute__((always_inline)) {
    const Ints a = load_bytes(above + x), b = load_bytes(below + x);
    return (a << 8) + (b - a) * weight;
  };
  int64_t x = 0;
  for (; x + kLane + 1 <= width; x += kLane) store(pairs + x, blend_vector(x) | blend_vector(x + 1) << 16);
  for (; x < width; ++x) {
    const int64_t next = at_most(x + 1, width - 1);
    pairs[x] = static_cast<int32_t>(static_cast<uint32_t>(blend(x)) | static_cast<uint32_t>(blend(next)) << 16);
  }
  for (; x < width + kHaarSlack; ++x) pairs[x] = 0;  // picked from, never used
}

// A row of the output, written in whole vectors: up to a vector past its end.
inline void resize_along(uint8_t* out, const int32_t* pairs, const ResizeColumns& columns, int64_t width,
                         int64_t out_width) {
  const auto finish = [&](int64_t x, Ints pair) __attribute__((always_inline)) {
    const Ints low = pair & 0xffff, high = (Ints)((Vec<uint32_t>)pair >> 16);
    store_bytes(out + x, ((low << 8) + (high - low) * load(columns.weight + x) + 0x8000) >> 16);
  };
  if (kFastPick<float> && width <= 2 * out_width) {
    for (int64_t x = 0; x < out_width; x += kLane) {
      const int32_t first = columns.source[x];
      const Ints index = load(columns.source + x) - first;
      finish(x, pick<int32_t>(load(pairs + first), load(pairs + first + kLane), index));
    }
    return;
  }
  for (int64_t x = 0; x < out_width; x += kLane) finish(x, gather(pairs, load(columns.source + x)));
}

// Row y of an image resized to [out_height, out_width], whose rows are `ratio` apart. Whole vectors are written.
inline void resize_row(uint8_t* out, int32_t* pairs, const uint8_t* image, int64_t height, int64_t width, int64_t y,
                       double ratio, const ResizeColumns& columns, int64_t out_height, int64_t out_width) {
  if (height == out_height && width == out_width) {
    memcpy(out, image + y * width, static_cast<size_t>(width));
    memset(out + width, 0, kHaarSlack);
    return;
  }
  const Tap tap = resize_tap(y, ratio, height);
  const uint8_t* above = image + tap.source * width;
  blend_rows(pairs, above, tap.weight != 0 ? above + width : above, tap.weight, width);
  resize_along(out, pairs, columns, width, out_width);
}

// ---- sums ----

// Lanes 0, 0 + 1, 0 + 1 + 2, ...
EINKORN_INLINE Ints prefix_sums(Ints v) {
  EINKORN_UNROLL for (int by = 1; by < kLane; by *= 2) {
    v += shuffle<int32_t>(Ints{}, v, [by](int i) { return i >= by ? kLane + i - by : 0; });
  }
  return v;
}

EINKORN_INLINE Ints last_lane(Ints v) {
  return shuffle<int32_t>(v, v, [](int) { return kLane - 1; });
}

// Where column c, row r of a table of sums is. At a step of 2, even and odd columns are apart, so that the same corner
// of neighbouring windows is in neighbouring elements there, too. Column 1 is at the start of a cache line.
struct SumLayout {
  int64_t stride, half;
  bool split;

  EINKORN_INLINE int64_t place(int64_t c, int64_t r) const {
    if (!split) return r * stride + kLane - 1 + c;
    return r * stride + ((c & 1) ? half : kLane - 1) + (c >> 1);
  }
};

// Two vectors of a row's sums, of columns x + 1 on, to where they belong.
EINKORN_INLINE void store_sums(int32_t* row, const int32_t* above, const SumLayout& layout, int64_t x, Ints a, Ints b) {
  int64_t first = kLane + x, second = first + kLane;
  if (layout.split) {
    const Ints odd_columns = even<int32_t>(a, b);
    b = odd<int32_t>(a, b);
    a = odd_columns;
    first = layout.half + x / 2;
    second = kLane + x / 2;
  }
  store(row + first, a + load(above + first));
  store(row + second, b + load(above + second));
}

// The row of sums and of squares under `above`, which is `stride` elements before; pixels are read in whole vectors.
inline void sum_row(int32_t* sums, int32_t* squares, const uint8_t* pixels, int64_t width, const SumLayout& layout) {
  Ints sum = {}, square = {};
  sums[kLane - 1] = squares[kLane - 1] = 0;
  for (int64_t x = 0; x < width; x += 2 * kLane) {
    const Ints p = load_bytes(pixels + x), q = load_bytes(pixels + x + kLane);
    const Ints a = prefix_sums(p) + sum, b = prefix_sums(q) + last_lane(a);
    sum = last_lane(b);
    store_sums(sums, sums - layout.stride, layout, x, a, b);
    const Ints c = prefix_sums(p * p) + square, d = prefix_sums(q * q) + last_lane(c);
    square = last_lane(d);
    store_sums(squares, squares - layout.stride, layout, x, c, d);
  }
}

// Tilted sums of a row from the two rows of sums and of pixels before it; each has width + 1 sums.
//
//            . a . b .        A cone is the two cones beside its tip, less what they share, and the two pixels at the tip
//              . c .          that they miss: t = a + b - c + p + q. Outside of the image there is nothing, so at the
//                p            edges a or b is a cone one row further up.
//                q   <- tip
inline void tilted_row(int32_t* t, const int32_t* before, const int32_t* before_that, const uint8_t* pixels,
                       const uint8_t* pixels_before, int64_t width) {
  t[0] = before[1];
  for (int64_t x = 1; x < width; ++x)
    t[x] = before[x - 1] + before[x + 1] - before_that[x] + pixels[x - 1] + pixels_before[x - 1];
  t[width] = before[width - 1] + pixels[width - 1] + pixels_before[width - 1];
}

}  // namespace haar
}  // namespace EINKORN_ISA
}  // namespace einkorn
