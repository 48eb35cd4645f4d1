// Images resized and their tables of sums on the GPU: what haar.cu and haar_scan.cu share.
//
//   resized    a thread a pixel of the output, its taps worked out anew
//   sums       a block a row adds up along it, kBlock pixels at a time; then a thread a column adds up down the rows
//   tilted     one block, row by row: each needs both rows before it
//
// Kernels are templates so that both files may have them.
//
// Roofline: a table 1 byte read and 4 or 8 written, read and written again a pixel: 1024 x 1024 14 and 27 MB, 0.005 and 0.009 ms at 3.0 TB/s;
// tilted sums are bound by a barrier a row, some 1 us.
// Plan: resized_pixels, sum_along, sum_down: 40 registers, 6 blocks of 256 threads an SM

#pragma once

#include <math.h>

#include "kernels/cuda_launch.h"
#include "kernels/haar/haar.h"

namespace einkorn::cuda {

// 1 / (area * standard deviation), 0 where the window is flat.
__device__ __forceinline__ float normalization(double area, int64_t sum, int64_t square) {
  const double variance = __dadd_rn(__dmul_rn(area, static_cast<double>(square)), -static_cast<double>(sum * sum));
  const float scale = variance > 0 ? static_cast<float>(1.0 / ::sqrt(variance)) : 0.0f;
  return area * static_cast<double>(scale) < 0.1 ? scale : 0.0f;
}

// ---- resizing ----

struct ResizeTap {
  int64_t source;
  int32_t weight;  // of the pixel after it, in 1/256
};

__device__ __forceinline__ ResizeTap resize_tap(int64_t i, double ratio, int64_t in) {
  const double f = __dadd_rn(__dmul_rn(ratio, static_cast<double>(i) + 0.5), -0.5);
  const int64_t a = static_cast<int64_t>(::floor(f));
  if (a < 0) return {0, 0};
  if (a >= in - 1) return {in - 1, 0};
  return {a, static_cast<int32_t>(::rint((f - static_cast<double>(a)) * 256.0))};
}

template <int>
__global__ void __launch_bounds__(kBlock)
    resized_pixels(uint8_t* out, const uint8_t* image, int64_t height, int64_t width, int64_t out_height,
                   int64_t out_width, double down, double across) {
  grid_stride(out_height * out_width, [&](int64_t at) {
    const int64_t i = quotient(at, out_width);
    const ResizeTap row = resize_tap(i, down, height), column = resize_tap(at - i * out_width, across, width);
    const uint8_t* const above = image + row.source * width;
    const uint8_t* const below = row.weight != 0 ? above + width : above;
    const auto blend = [&](int64_t x) { return above[x] * 256 + (below[x] - above[x]) * row.weight; };
    const int32_t low = blend(column.source);
    const int32_t high = blend(column.source + 1 < width ? column.source + 1 : width - 1);
    out[at] = static_cast<uint8_t>(((low << 8) + (high - low) * column.weight + 0x8000) >> 16);
  });
}

inline void resize(const char* name, uint8_t* out, const uint8_t* image, int64_t height, int64_t width,
                   int64_t out_height, int64_t out_width) {
  const auto ratio = [](int64_t in, int64_t to) { return 1.0 / (static_cast<double>(to) / static_cast<double>(in)); };
  launch_over(name, resized_pixels<0>, out_height * out_width, out, image, height, width, out_height, out_width,
              ratio(height, out_height), ratio(width, out_width));
}

// ---- sums ----

// Tables of height + 1 rows, `pitch` apart, of width + 1 sums.
template <class Square>
struct HaarTables {
  int32_t* sums;
  Square* squares;  // may be null
  int32_t* tilted;  // may be null
  int64_t pitch;
};

template <class T>
__global__ void __launch_bounds__(kBlock)
    sum_along(T* table, int64_t pitch, const uint8_t* image, int64_t height, int64_t width, bool squared) {
  __shared__ T sums[kBlock];
  const int t = static_cast<int>(threadIdx.x);
  for (int64_t y = blockIdx.x; y <= height; y += gridDim.x) {
    T* const row = table + y * pitch;
    T before = 0;
    if (t == 0) row[0] = 0;
    for (int64_t first = 0; first < width; first += kBlock) {
      const int64_t x = first + t;
      const T p = y > 0 && x < width ? image[(y - 1) * width + x] : T{0};
      sums[t] = squared ? p * p : p;
      __syncthreads();
      for (int distance = 1; distance < kBlock; distance *= 2) {
        const T other = t >= distance ? sums[t - distance] : T{0};
        __syncthreads();
        sums[t] += other;
        __syncthreads();
      }
      if (x < width) row[x + 1] = before + sums[t];
      before += sums[kBlock - 1];
      __syncthreads();
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kBlock) sum_down(T* table, int64_t pitch, int64_t height, int64_t width) {
  grid_stride(width + 1, [&](int64_t x) {
    T sum = 0;
    for (int64_t y = 1; y <= height; ++y) {
      sum += table[y * pitch + x];
      table[y * pitch + x] = sum;
    }
  });
}

// A cone is the two cones beside its tip, less what they share, and the two pixels at the tip that they miss (haar_rows.h).
template <int>
__global__ void __launch_bounds__(kBlock)
    sum_cones(int32_t* table, int64_t pitch, const uint8_t* image, int64_t height, int64_t width) {
  for (int64_t y = 0; y <= height; ++y) {
    int32_t* const row = table + y * pitch;
    const int32_t* const above = row - pitch;
    const uint8_t* const pixels = image + (y - 1) * width;
    for (int64_t x = threadIdx.x; x <= width; x += kBlock) {
      int32_t sum = 0;
      if (y == 1) {
        sum = x > 0 ? pixels[x - 1] : 0;
      } else if (y > 1) {
        const int32_t tip = x > 0 ? pixels[x - 1] + pixels[x - 1 - width] : 0;
        if (x == 0)
          sum = width > 0 ? above[1] : 0;
        else if (x < width)
          sum = above[x - 1] + above[x + 1] - above[x - pitch] + tip;
        else
          sum = above[x - 1] + tip;
      }
      row[x] = sum;
    }
    __syncthreads();
  }
}

template <class T>
void integrate_table(const char* name, T* table, int64_t pitch, const uint8_t* image, int64_t height, int64_t width,
                     bool squared) {
  launch(name, sum_along<T>, blocks_for(height + 1), kBlock, 0, table, pitch, image, height, width, squared);
  launch_over(name, sum_down<T>, width + 1, table, pitch, height, width);
}

template <class Square>
void integrate(const char* name, const HaarTables<Square>& t, const uint8_t* image, int64_t height, int64_t width) {
  integrate_table(name, t.sums, t.pitch, image, height, width, false);
  if (t.squares != nullptr) integrate_table(name, t.squares, t.pitch, image, height, width, true);
  if (t.tilted != nullptr) launch(name, sum_cones<0>, 1, kBlock, 0, t.tilted, t.pitch, image, height, width);
}

}  // namespace einkorn::cuda
