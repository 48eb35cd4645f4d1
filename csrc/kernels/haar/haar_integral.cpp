// Integral images and resizing as kernels of their own; cascade_scan makes its own sums, stripe by stripe.
//
// integral_image: bands of rows are summed from zero on several threads, then each band adds the last row of the one
// before it. Tilted sums need both rows before them and go row by row on one thread.

#include "kernels/haar/haar_rows.h"

namespace einkorn::EINKORN_ISA {

using namespace haar;

namespace {

constexpr int64_t kBand = 64;  // rows

template <class T>
void sum_band(T* table, const uint8_t* image, int64_t width, int64_t begin, int64_t end, bool squared) {
  const int64_t stride = width + 1;
  for (int64_t y = begin; y < end; ++y) {
    const uint8_t* pixels = image + y * width;
    T* row = table + (y + 1) * stride;
    T sum = 0;
    row[0] = 0;
    for (int64_t x = 0; x < width; ++x) {
      const T p = pixels[x];
      sum += squared ? p * p : p;
      row[x + 1] = y == begin ? sum : row[x + 1 - stride] + sum;
    }
  }
}

template <class T>
void integrate(const IntegralImage& k, T* table, bool squared) {
  const int64_t bands = (k.height + kBand - 1) / kBand, stride = k.width + 1;
  const double cost = 1.5 * kBand * static_cast<double>(stride);
  memset(table, 0, static_cast<size_t>(stride) * sizeof(T));
  parallel_for(k.ws, bands, cost, [&](int64_t band, int) {
    sum_band(table, k.image, k.width, band * kBand, at_most((band + 1) * kBand, k.height), squared);
  });
  for (int64_t band = 1; band < bands; ++band) {  // the bands' last rows first, for they are what is added
    const T* carry = table + band * kBand * stride;
    T* last = table + at_most((band + 1) * kBand, k.height) * stride;
    for (int64_t x = 0; x < stride; ++x) last[x] += carry[x];
  }
  parallel_for(k.ws, bands - 1, 0.3 * cost, [&](int64_t task, int) {
    const T* carry = table + (task + 1) * kBand * stride;
    const int64_t end = at_most((task + 2) * kBand, k.height);
    for (int64_t y = (task + 1) * kBand + 1; y < end; ++y) {
      T* row = table + y * stride;
      for (int64_t x = 0; x < stride; ++x) row[x] += carry[x];
    }
  });
}

void integrate_tilted(const IntegralImage& k) {
  const int64_t stride = k.width + 1;
  memset(k.tilted, 0, static_cast<size_t>(stride) * sizeof(int32_t));
  for (int64_t y = 1; y <= k.height; ++y) {
    int32_t* row = k.tilted + y * stride;
    const uint8_t* pixels = k.image + (y - 1) * k.width;
    if (y == 1) {
      row[0] = 0;
      for (int64_t x = 0; x < k.width; ++x) row[x + 1] = pixels[x];
    } else {
      tilted_row(row, row - stride, row - 2 * stride, pixels, pixels - k.width, k.width);
    }
  }
}

}  // namespace

void integral_image(const IntegralImage& k) {
  if (k.height == 0 || k.width == 0) {
    const size_t cells = static_cast<size_t>((k.height + 1) * (k.width + 1));
    memset(k.sums, 0, cells * sizeof(int32_t));
    if (k.squares != nullptr) memset(k.squares, 0, cells * sizeof(int64_t));
    if (k.tilted != nullptr) memset(k.tilted, 0, cells * sizeof(int32_t));
    return;
  }
  integrate(k, k.sums, false);
  if (k.squares != nullptr) integrate(k, k.squares, true);
  if (k.tilted != nullptr) integrate_tilted(k);
}

void rgb_to_gray(const RgbToGray& k) {
  constexpr int64_t kPixels = 32768;
  parallel_for(k.ws, (k.pixels + kPixels - 1) / kPixels, 0.5 * kPixels, [&](int64_t task, int) {
    for (int64_t i = task * kPixels; i < at_most((task + 1) * kPixels, k.pixels); ++i) {
      const uint8_t* p = k.image + 3 * i;
      k.out[i] = static_cast<uint8_t>((9798 * p[0] + 19235 * p[1] + 3735 * p[2] + (1 << 14)) >> 15);
    }
  });
}

void resize_exact(const ResizeExact& k) {
  const auto parts = carve<ResizeParts>(k);
  fill_columns(parts.columns, k.width, k.out_width);
  const double ratio = resize_ratio(k.height, k.out_height);
  constexpr int64_t kRows = 16;
  const double cost = 0.5 * kRows * static_cast<double>(k.width + 2 * k.out_width);
  parallel_for(k.ws, (k.out_height + kRows - 1) / kRows, cost, [&](int64_t task, int slot) {
    const ResizeRows rows = parts.rows[slot];
    for (int64_t y = task * kRows; y < at_most((task + 1) * kRows, k.out_height); ++y) {
      resize_row(rows.pixels, rows.pairs, k.image, k.height, k.width, y, ratio, parts.columns, k.out_height,
                 k.out_width);
      memcpy(k.out + y * k.out_width, rows.pixels, static_cast<size_t>(k.out_width));
    }
  });
}

}  // namespace einkorn::EINKORN_ISA
