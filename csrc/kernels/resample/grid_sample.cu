// Sampling at points on the GPU. A thread has a point and goes through all channels, so that the taps are worked out once; neighbouring
// threads are on neighbouring points, which read neighbouring pixels.
//
//   gradient of grid   the thread's own: every channel's g times the taps' slopes
//   gradient of x      points share pixels: what each tap adds is sorted by its pixel (cuda_radix.h), and a thread an element of x adds
//                      up its pixel's in the order of the points. Same bits every time.
//
// Roofline: g or out and grid once, x from L2, 4 taps: [32, 64, 128, 128] float32 134 MB each of x and out, 0.09 ms at 3.0 TB/s. The
// sort is of 4 taps a point, once for all channels.
// Plan: sample_points: 48 registers (double: 80), 5 blocks of 256 threads an SM, 72 bytes spilled in double

#include <math.h>

#include "kernels/cuda_radix.h"
#include "kernels/instantiate.h"
#include "kernels/resample/resample.h"

namespace einkorn::cuda {

namespace {

constexpr int kMostTaps = 16;

// Where a coordinate in [-1, 1] lies in pixels, after clipping or mirroring, and its slope.
template <class T>
struct Position {
  T at, slope;
};

template <class T>
__device__ __forceinline__ Position<T> clipped(Position<T> p, int64_t size) {
  const T most = static_cast<T>(size - 1);
  if (!(p.at > 0)) return {0, 0};
  if (p.at >= most) return {most, 0};
  return p;
}

template <class T>
__device__ __forceinline__ Position<T> mirrored(Position<T> p, int64_t size, bool align) {
  const T low = align ? T(0) : T(-0.5), span = static_cast<T>(align ? size - 1 : size);
  if (!(span > 0)) return {0, 0};
  T from = p.at - low, slope = p.slope;
  if (from < 0) from = -from, slope = -slope;
  const T extra = ::fmod(from, span);
  const bool back = ::fmod(::floor(from / span), T(2)) != 0;
  return back ? Position<T>{span - extra + low, -slope} : Position<T>{extra + low, slope};
}

template <class T>
__device__ __forceinline__ Position<T> padded(Position<T> p, int64_t size, const GridShape& s) {
  if (s.padding == 2) p = mirrored(p, size, s.align);
  return s.padding == 0 ? p : clipped(p, size);
}

template <class T>
__device__ __forceinline__ Position<T> in_pixels(T coordinate, int64_t size, const GridShape& s) {
  const T scale = static_cast<T>(s.align ? size - 1 : size) / 2;
  return {s.align ? (coordinate + 1) * scale : ((coordinate + 1) * static_cast<T>(size) - 1) / 2, scale};
}

// A direction's taps: pixels (-1 outside), weights and slopes of the weights.
template <class T>
struct Line {
  int count;
  int64_t at[4];
  T weight[4], slope[4];
};

template <class T>
__device__ __forceinline__ int64_t pixel_at(T position, int64_t size) {
  return position >= 0 && position < static_cast<T>(size) ? static_cast<int64_t>(position) : -1;
}

template <class T>
__device__ __forceinline__ Line<T> taps_along(T coordinate, int64_t size, const GridShape& s) {
  Line<T> line = {};
  Position<T> p = in_pixels(coordinate, size, s);
  if (!(::fabs(p.at) < T(1e9))) {  // NaN, or farther away than any image is wide
    if (p.at != p.at || s.padding == 0) return line;
    p.at = p.at < 0 ? T(-1e9) : T(1e9);
  }
  if (s.mode == 2) {
    const T first = ::floor(p.at), t = p.at - first, a = T(-0.75);
    const T d[4] = {t + 1, t, 1 - t, 2 - t}, sign[4] = {1, 1, -1, -1};
    line.count = 4;
    for (int i = 0; i < 4; ++i) {
      const bool near = i == 1 || i == 2;
      line.weight[i] =
          near ? ((a + 2) * d[i] - (a + 3)) * d[i] * d[i] + 1 : ((a * d[i] - 5 * a) * d[i] + 8 * a) * d[i] - 4 * a;
      line.slope[i] = sign[i] * p.slope *
                      (near ? (3 * (a + 2) * d[i] - 2 * (a + 3)) * d[i] : (3 * a * d[i] - 10 * a) * d[i] + 8 * a);
      line.at[i] = pixel_at(padded(Position<T>{first - 1 + static_cast<T>(i), 1}, size, s).at, size);
    }
    return line;
  }
  p = padded(p, size, s);
  if (s.mode == 1) {
    line.count = 1;
    line.weight[0] = 1;
    line.at[0] = pixel_at(static_cast<T>(::rint(p.at)), size);
    return line;
  }
  const T first = ::floor(p.at);
  line.count = 2;
  line.weight[0] = first + 1 - p.at, line.weight[1] = p.at - first;
  line.slope[0] = -p.slope, line.slope[1] = p.slope;
  line.at[0] = pixel_at(first, size), line.at[1] = pixel_at(first + 1, size);
  return line;
}

// A point's taps that lie inside.
template <class T>
struct Taps {
  int count;
  int64_t at[kMostTaps];
  T weight[kMostTaps];
  T slope[3][kMostTaps];  // along width, height, depth
};

template <class T>
__device__ __forceinline__ void find_taps(Taps<T>& taps, const T* point, const GridShape& s) {
  const Line<T> x = taps_along(point[0], s.width, s), y = taps_along(point[1], s.height, s);
  Line<T> z = {1, {0}, {1}, {0}};
  if (s.dims == 3) z = taps_along(point[2], s.depth, s);
  taps.count = 0;
  for (int i = 0; i < z.count; ++i)
    for (int j = 0; j < y.count; ++j)
      for (int c = 0; c < x.count; ++c) {
        if (z.at[i] < 0 || y.at[j] < 0 || x.at[c] < 0) continue;
        const int t = taps.count++;
        taps.at[t] = (z.at[i] * s.height + y.at[j]) * s.width + x.at[c];
        taps.weight[t] = z.weight[i] * y.weight[j] * x.weight[c];
        taps.slope[0][t] = z.weight[i] * y.weight[j] * x.slope[c];
        taps.slope[1][t] = z.weight[i] * y.slope[j] * x.weight[c];
        taps.slope[2][t] = z.slope[i] * y.weight[j] * x.weight[c];
      }
}

// body(image, point in it) for every point.
template <class Body>
__device__ __forceinline__ void for_points(const GridShape& s, const Body& body) {
  const int64_t points = s.out_rows * s.out_width;
  grid_stride(s.images * points, [&](int64_t i) {
    const int64_t image = quotient(i, points);
    body(image, i - image * points);
  });
}

template <class T>
__global__ void __launch_bounds__(kBlock) sample_points(GridSample<T> k) {
  const GridShape& s = k.shape;
  const int64_t points = s.out_rows * s.out_width, plane = s.depth * s.height * s.width;
  for_points(s, [&](int64_t image, int64_t point) {
    Taps<T> taps;
    find_taps(taps, k.grid + (image * points + point) * s.dims, s);
    for (int64_t c = image * s.channels; c < (image + 1) * s.channels; ++c) {
      T sum = 0;
      for (int t = 0; t < taps.count; ++t) sum += taps.weight[t] * k.x[c * plane + taps.at[t]];
      k.out[c * points + point] = sum;
    }
  });
}

template <class T>
__global__ void __launch_bounds__(kBlock) grid_slopes(GridSampleGrad<T> k) {
  const GridShape& s = k.shape;
  const int64_t points = s.out_rows * s.out_width, plane = s.depth * s.height * s.width;
  for_points(s, [&](int64_t image, int64_t point) {
    Taps<T> taps;
    find_taps(taps, k.grid + (image * points + point) * s.dims, s);
    T sum[3] = {0, 0, 0};
    for (int64_t c = image * s.channels; c < (image + 1) * s.channels; ++c) {
      const T g = k.gy[c * points + point];
      for (int t = 0; t < taps.count; ++t)
        for (int d = 0; d < 3; ++d) sum[d] += g * taps.slope[d][t] * k.x[c * plane + taps.at[t]];
    }
    for (int64_t d = 0; d < s.dims; ++d) k.ggrid[(image * points + point) * s.dims + d] = sum[d];
  });
}

// Taps of all points of an image as a row of keys, their pixels; those that a point lacks come last. Weights stay where they are.
template <class T>
__global__ void __launch_bounds__(kBlock)
    list_taps(GridSampleGrad<T> k, SortRows<uint32_t> taps_of, T* weights, int64_t most) {
  const GridShape& s = k.shape;
  const int64_t points = s.out_rows * s.out_width;
  for_points(s, [&](int64_t image, int64_t point) {
    Taps<T> taps;
    find_taps(taps, k.grid + (image * points + point) * s.dims, s);
    for (int t = 0; t < most; ++t) {
      const int64_t place = point * most + t, at = image * points * most + place;
      taps_of.keys[at] = t < taps.count ? static_cast<uint32_t>(taps.at[t]) : UINT32_MAX;
      taps_of.places[at] = static_cast<int32_t>(place);
      weights[at] = t < taps.count ? taps.weight[t] : T{0};
    }
  });
}

template <class T>
__global__ void sum_pixels(GridSampleGrad<T> k, SortRows<uint32_t> taps_of, const T* weights, int64_t most) {
  const GridShape& s = k.shape;
  const int64_t points = s.out_rows * s.out_width, plane = s.depth * s.height * s.width;
  grid_stride(s.images * plane, [&](int64_t i) {
    const int64_t image = quotient(i, plane);
    const auto pixel = static_cast<uint32_t>(i - image * plane);
    const SortRows<uint32_t> row = {taps_of.keys + image * taps_of.n, taps_of.places + image * taps_of.n, 1, taps_of.n,
                                    taps_of.tiles};
    const int64_t begin = first_key(row, pixel);
    for (int64_t c = image * s.channels; c < (image + 1) * s.channels; ++c) {
      T sum = 0;
      for (int64_t e = begin; e < row.n && row.keys[e] == pixel; ++e) {
        const int64_t place = row.places[e];
        sum += k.gy[c * points + quotient(place, most)] * weights[image * row.n + place];
      }
      k.gx[c * plane + pixel] = sum;
    }
  });
}

}  // namespace

template <class T>
void grid_sample_forward(const GridSample<T>& k) {
  launch_over("grid_sample_forward", sample_points<T>, k.shape.images * k.shape.out_rows * k.shape.out_width, k);
}

template <class T>
void grid_sample_backward(const GridSampleGrad<T>& k) {
  const char* const name = "grid_sample_backward";
  const GridShape& s = k.shape;
  const int64_t points = s.out_rows * s.out_width, plane = s.depth * s.height * s.width;
  if (k.ggrid != nullptr) launch_over(name, grid_slopes<T>, s.images * points, k);
  if (k.gx == nullptr) return;
  const int64_t along = s.mode == 2 ? 4 : s.mode == 1 ? 1 : 2, most = along * along * (s.dims == 3 ? along : 1);
  RadixSort<uint32_t> sorting(s.images, points * most);
  const StreamScratch weights(static_cast<size_t>(s.images * points * most) * sizeof(T));
  launch_over(name, list_taps<T>, s.images * points, k, sorting.from, weights.as<T>(), most);
  sorting.sort(name, 32);
  launch_over(name, sum_pixels<T>, s.images * plane, k, sorting.from, weights.as<T>(), most);
}

EINKORN_INSTANTIATE(grid_sample_forward, GridSample)
EINKORN_INSTANTIATE(grid_sample_backward, GridSampleGrad)

}  // namespace einkorn::cuda
