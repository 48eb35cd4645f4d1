// Where points of a grid lie in an image, and the pixels around them: what both bodies of sampling at points share, on the CPU and on
// the GPU.
//
//   coordinate  ->  position in pixels  ->  clipped or mirrored  ->  taps along an axis (4 cubic, 2 linear, 1 nearest)  ->  taps of the point

#pragma once

#include <math.h>

#include "kernels/resample/resample.h"

#if defined(__CUDACC__) || defined(EINKORN_CUDA_HOST)
#define EINKORN_PLACES __device__ __forceinline__
#else
#define EINKORN_PLACES inline __attribute__((always_inline))
#endif

namespace einkorn {
inline namespace EINKORN_ISA {

constexpr int kMostTaps = 16;

// Where a coordinate in [-1, 1] lies in pixels, after clipping or mirroring, and its slope.
template <class T>
struct Position {
  T at, slope;
};

template <class T>
EINKORN_PLACES Position<T> clipped(Position<T> p, int64_t size) {
  const T most = static_cast<T>(size - 1);
  if (!(p.at > 0)) return {0, 0};
  if (p.at >= most) return {most, 0};
  return p;
}

template <class T>
EINKORN_PLACES Position<T> mirrored(Position<T> p, int64_t size, bool align) {
  const T low = align ? T(0) : T(-0.5), span = static_cast<T>(align ? size - 1 : size);
  if (!(span > 0)) return {0, 0};
  T from = p.at - low, slope = p.slope;
  if (from < 0) from = -from, slope = -slope;
  const T extra = ::fmod(from, span);
  const bool back = ::fmod(::floor(from / span), T(2)) != 0;
  return back ? Position<T>{span - extra + low, -slope} : Position<T>{extra + low, slope};
}

template <class T>
EINKORN_PLACES Position<T> padded(Position<T> p, int64_t size, const GridShape& s) {
  if (s.padding == 2) p = mirrored(p, size, s.align);
  return s.padding == 0 ? p : clipped(p, size);
}

template <class T>
EINKORN_PLACES Position<T> in_pixels(T coordinate, int64_t size, const GridShape& s) {
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
EINKORN_PLACES int64_t pixel_at(T position, int64_t size) {
  return position >= 0 && position < static_cast<T>(size) ? static_cast<int64_t>(position) : -1;
}

template <class T>
EINKORN_PLACES Line<T> taps_along(T coordinate, int64_t size, const GridShape& s) {
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
EINKORN_PLACES void find_taps(Taps<T>& taps, const T* point, const GridShape& s) {
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

}  // namespace EINKORN_ISA
}  // namespace einkorn

#undef EINKORN_PLACES
