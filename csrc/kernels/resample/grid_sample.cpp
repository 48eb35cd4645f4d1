// Sampling at points. The taps of a point are worked out once, as places and weights, and used for all channels.
//
//   forward            a run of points of one row of outputs: taps, then a row of sums for each channel
//   gradient of grid   a point's own: every channel's g times the taps' slopes
//   gradient of x      plane by plane, all points in order: points share pixels, planes do not

#include <math.h>

#include "kernels/instantiate.h"
#include "kernels/resample/grid_places.h"
#include "simd/simd.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr int kRun = 32;

// Calls body(image, first, count) for runs of points of one image.
template <class Body>
EINKORN_INLINE void for_runs(const Workspace& ws, const GridShape& s, double cost, const Body& body) {
  const int64_t points = s.out_rows * s.out_width, runs = (points + kRun - 1) / kRun;
  parallel_for(ws, s.images * runs, cost * kRun * static_cast<double>(s.channels + 8), [&](int64_t task, int) {
    const int64_t first = task % runs * kRun;
    body(task / runs, first, points - first < kRun ? points - first : kRun);
  });
}

}  // namespace

template <class T>
void grid_sample_forward(const GridSample<T>& k) {
  const GridShape& s = k.shape;
  const int64_t points = s.out_rows * s.out_width, plane = s.depth * s.height * s.width;
  for_runs(k.ws, s, 3.0, [&](int64_t image, int64_t first, int64_t count) {
    Taps<T> taps[kRun];
    for (int64_t i = 0; i < count; ++i) find_taps(taps[i], k.grid + (image * points + first + i) * s.dims, s);
    for (int64_t c = 0; c < s.channels; ++c) {
      const T* const x = k.x + (image * s.channels + c) * plane;
      T* const out = k.out + (image * s.channels + c) * points + first;
      for (int64_t i = 0; i < count; ++i) {
        T sum = 0;
        for (int t = 0; t < taps[i].count; ++t) sum += taps[i].weight[t] * x[taps[i].at[t]];
        out[i] = sum;
      }
    }
  });
}
EINKORN_INSTANTIATE(grid_sample_forward, GridSample)

template <class T>
void grid_sample_backward(const GridSampleGrad<T>& k) {
  const GridShape& s = k.shape;
  const int64_t points = s.out_rows * s.out_width, plane = s.depth * s.height * s.width;
  if (k.ggrid != nullptr)
    for_runs(k.ws, s, 6.0, [&](int64_t image, int64_t first, int64_t count) {
      for (int64_t i = first; i < first + count; ++i) {
        Taps<T> taps;
        find_taps(taps, k.grid + (image * points + i) * s.dims, s);
        T sum[3] = {0, 0, 0};
        for (int64_t c = 0; c < s.channels; ++c) {
          const T* const x = k.x + (image * s.channels + c) * plane;
          const T g = k.gy[(image * s.channels + c) * points + i];
          for (int t = 0; t < taps.count; ++t)
            for (int64_t d = 0; d < s.dims; ++d) sum[d] += g * taps.slope[d][t] * x[taps.at[t]];
        }
        for (int64_t d = 0; d < s.dims; ++d) k.ggrid[(image * points + i) * s.dims + d] = sum[d];
      }
    });
  if (k.gx == nullptr) return;
  // A few channels of an image at a time share the taps of its points.
  const int64_t chunk = s.channels < 8 ? s.channels : 8, chunks = chunk > 0 ? (s.channels + chunk - 1) / chunk : 0;
  parallel_for(k.ws, s.images * chunks, 4.0 * static_cast<double>((points * 4 + plane) * chunk),
               [&](int64_t task, int) {
                 const int64_t image = task / chunks, from = task % chunks * chunk;
                 const int64_t to = from + chunk < s.channels ? from + chunk : s.channels;
                 T* const gx = k.gx + (image * s.channels) * plane;
                 for (int64_t j = from * plane; j < to * plane; ++j) gx[j] = 0;
                 for (int64_t i = 0; i < points; ++i) {
                   Taps<T> taps;
                   find_taps(taps, k.grid + (image * points + i) * s.dims, s);
                   for (int64_t c = from; c < to; ++c) {
                     const T g = k.gy[(image * s.channels + c) * points + i];
                     for (int t = 0; t < taps.count; ++t) gx[c * plane + taps.at[t]] += g * taps.weight[t];
                   }
                 }
               });
}
EINKORN_INSTANTIATE(grid_sample_backward, GridSampleGrad)

}  // namespace einkorn::EINKORN_ISA
