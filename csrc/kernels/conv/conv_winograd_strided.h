// What both kernels of F(2x2, 2x2) at stride 2 share: the phases of the input, transformed.

#pragma once

#include "kernels/conv/conv_winograd.h"
#include "kernels/gemm_tile.h"
#include "simd/shuffle.h"

namespace einkorn {
inline namespace EINKORN_ISA {

constexpr int kStridedPoints = 9, kPhases = 4;

// In one direction, whether a point of a phase has weights. A 3x3 kernel is a 4x4 one whose last row and column are zero: the phase
// that is left with one tap has no last point forward, no first one back.
constexpr bool has_point(int size, bool back, int phase, int point) {
  return size == 4 || (back ? phase == 1 || point > 0 : phase == 0 || point < 2);
}

// Forward, how many phases have a point: 1, 2 or 4, always the first ones.
constexpr int phases_of(int size, int point) {
  const bool y = has_point(size, false, 1, point / 3), x = has_point(size, false, 1, point % 3);
  return (y ? 2 : 1) * (x ? 2 : 1);
}

// Which of them a phase is.
constexpr int phase_index(int size, int point, int phase_y, int phase_x) {
  return has_point(size, false, 1, point % 3) ? 2 * phase_y + phase_x : phase_y;
}

// Bt d
template <class V>
EINKORN_INLINE void phase_points(const V& d0, const V& d1, const V& d2, V& p0, V& p1, V& p2) {
  p0 = d0 - d1;
  p1 = d1;
  p2 = d2 - d1;
}

// The points of one phase of a run of tiles, whose rows are transformed, each to place(point).
template <class T, int kSize, bool kBack, class Place>
EINKORN_INLINE void put_points(const Vec<T> (&row)[3][3], const TileRun& run, int phase_y, int phase_x,
                               const Place& place) {
  const bool fits = run.at + kLanes<T> <= kTileColumns<T>;  // what a whole vector writes past the run is the next run's
  EINKORN_UNROLL for (int b = 0; b < 3; ++b) {
    Vec<T> p[3];
    phase_points(row[0][b], row[1][b], row[2][b], p[0], p[1], p[2]);
    EINKORN_UNROLL for (int a = 0; a < 3; ++a) {
      if (!has_point(kSize, kBack, phase_y, a) || !has_point(kSize, kBack, phase_x, b)) continue;
      T* const out = place(a * 3 + b) + run.at;
      if (fits)
        store(out, p[a]);
      else
        store_partial(out, run.size, p[a]);
    }
  }
}

// The input of a forward pass. Its points lie at v[point][...][tile], `point_step` apart, and within one either channel by channel, each
// with its phases, or phase by phase, `phase_step` elements apart where that is not 0.
template <class T>
struct StridedPixels {
  const T* in;
  int64_t channels, height, width, point_step, phase_step;

  // 6x6 pixels a tile, every fourth one a lane; channels begin to end, which are channels `at`, at + 1, ... of v.
  template <int kSize>
  __attribute__((noinline)) void split_phases(const TileRun& run, T* v, int64_t begin, int64_t end, int64_t at) const {
    constexpr int L = kLanes<T>;
    const int64_t y = 4 * run.y - 1, x = 4 * run.x - 1;
    int64_t row[6];
    Window<T> window[6][2][4];  // of columns 0 to 3 of the tiles in four vectors, and of columns 4 and 5
    for (int a = 0; a < 6; ++a) {
      const bool inside = y + a >= 0 && y + a < height;
      row[a] = inside ? (y + a) * width + x : 0;
      for (int side = 0; side < 2; ++side)
        for (int part = 0; part < 4; ++part) {
          const int64_t from = x + 4 * side + part * L;
          // Past the run's last tile nothing is read.
          window[a][side][part] = make_window<T>(-from, inside ? smaller(width, x + 4 * run.size + 2) - from : 0);
        }
    }
    const int64_t plane = height * width;
    const T* image = in + (run.image * channels + begin) * plane;
    for (int64_t i = begin; i < end; ++i, ++at, image += plane) EINKORN_UNROLL for (int a = 0; a < 2; ++a) {
        Vec<T> point[2][3][3];
        EINKORN_UNROLL for (int k = 0; k < 3; ++k) {
          const int line = a + 2 * k;
          const T* const p = image + row[line];
          __builtin_prefetch(p + 4 * plane);
          const auto from = [&](int side, int part) __attribute__((always_inline)) {
            return load_window(p + 4 * side + part * L, window[line][side][part]);
          };
          const Vec<T> v0 = from(0, 0), v1 = from(0, 1), v2 = from(0, 2), v3 = from(0, 3);
          const Vec<T> u0 = from(1, 0), u1 = from(1, 1), u2 = from(1, 2), u3 = from(1, 3);
          const Vec<T> e0 = even<T>(v0, v1), e1 = even<T>(v2, v3), o0 = odd<T>(v0, v1), o1 = odd<T>(v2, v3);
          const Vec<T> d4 = even<T>(even<T>(u0, u1), even<T>(u2, u3)), d5 = even<T>(odd<T>(u0, u1), odd<T>(u2, u3));
          phase_points(even<T>(e0, e1), odd<T>(e0, e1), d4, point[0][k][0], point[0][k][1], point[0][k][2]);
          phase_points(even<T>(o0, o1), odd<T>(o0, o1), d5, point[1][k][0], point[1][k][1], point[1][k][2]);
        }
        EINKORN_UNROLL for (int b = 0; b < 2; ++b)
            put_points<T, kSize, false>(point[b], run, a, b, [&](int p) __attribute__((always_inline)) {
              const int64_t index = phase_index(kSize, p, a, b);
              return v + p * point_step +
                     (phase_step == 0 ? (at * phases_of(kSize, p) + index) * kTileColumns<T>
                                      : index * phase_step + at * kTileColumns<T>);
            });
      }
  }
};

}  // namespace EINKORN_ISA
}  // namespace einkorn
