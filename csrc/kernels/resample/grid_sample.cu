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

#include "kernels/cuda_radix.h"
#include "kernels/instantiate.h"
#include "kernels/resample/grid_places.h"

namespace einkorn::cuda {

namespace {

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
