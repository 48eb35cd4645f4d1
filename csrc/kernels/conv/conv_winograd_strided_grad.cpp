// Weight gradient of 4x4 and 3x3 kernels at stride 2 and padding 1 by Winograd's F(2x2, 2x2): for each tile, 2x2 pixels of gy slide over
// the 3x3 pixels of each phase of x (conv_winograd_strided.cpp), 9 multiplications for the 2x2 taps of a phase instead of 16.
//
//   Y = At [ sum over tiles of (G gy Gt) * (Bt d B) ] A
//
//                                  channels of x, by phases
//                                     +-----------+
//                        tiles        | V[point]  |  panels of B, one after the other
//                     +-----------+   +-----------+
//   channels of gy    | Z[point]  |   | W[point]  |  then 2x2 taps of each phase
//                     +-----------+   +-----------+
//
// The first pass transforms and packs both sides, blocks of tiles of a panel's channels at a time; the second goes through
// pairs of a panel's channels of x and a few panels of gy, a point and phase at a time, so that its V stays in L2 for all of them.
// 3x3 kernels do without the points of a phase's missing taps: 25 products of panels for 36.
//
// With the passes of conv_winograd_strided.cpp, forward and backward of its three layers, two threads of a Zen 4 EPYC, ms:
//   weight gradient of plain products (conv_weight_grad.cpp)             16.7 / 16.5 / 16.5
//   this                                                                 17.9 / 13.6 / 13.7  (the first on a busier machine)

#include "kernels/conv/conv_methods.h"
#include "kernels/conv/conv_tile.h"
#include "kernels/conv/conv_winograd_strided.h"

namespace einkorn::EINKORN_ISA {

namespace {

template <class T>
struct StridedGrad {
  static constexpr int64_t C = kTileColumns<T>;
  const Conv2dWeightGrad<T>& k;
  const StridedGradScratch<T>& scratch;
  const ConvShape& s;
  StridedPixels<T> pixels;
  RowPanels panels;
  int size;  // of a kernel
  int64_t tiles_y, tiles_x, tiles, blocks;
  int64_t units, unit_panels;      // of C channels of x, each with a panel for each phase of each point
  int64_t before[kStridedPoints];  // panels of a unit

  StridedGrad(const Conv2dWeightGrad<T>& k, const StridedGradScratch<T>& scratch)
      : k(k),
        scratch(scratch),
        s(k.shape),
        pixels{k.x, s.C, s.H, s.W, (kPhases * C + 1) * C, C * C},
        panels(row_panels(s.K, kTileRows)),
        size(static_cast<int>(s.R)),
        tiles_y(ceil_div(s.OH, 2)),
        tiles_x(ceil_div(s.OW, 2)),
        tiles(s.N * tiles_y * tiles_x),
        blocks(ceil_div(tiles, C)),
        units(ceil_div(s.C, C)),
        unit_panels(0) {
    for (int p = 0; p < kStridedPoints; ++p) before[p] = unit_panels, unit_panels += phases_of(size, p);
  }

  T* x_panel(int64_t unit, int64_t panel) const { return scratch.x + (unit * unit_panels + panel) * tiles * C; }
  T* gy_panel(int64_t point, int64_t panel) const {
    return scratch.gy + (point * panels.count + panel) * tiles * panels.rows;
  }

  template <class Body>
  void for_block(int64_t block, const Body& body) const {
    for_runs(tiles_y, tiles_x, block * C, smaller(C, tiles - block * C), kLanes<T>, body);
  }

  // The panels of a unit, [tile][channel], of a block.
  void pack_x(int64_t unit, int64_t block, T* points) const {
    const int64_t begin = unit * C, end = smaller(begin + C, s.C), count = smaller(C, tiles - block * C);
    for_block(block, [&](const TileRun& run) {
      size == 4 ? pixels.template split_phases<4>(run, points, begin, end, 0)
                : pixels.template split_phases<3>(run, points, begin, end, 0);
    });
    for (int point = 0; point < kStridedPoints; ++point)
      for (int64_t phase = 0; phase < phases_of(size, point); ++phase)
        pack_b_slice(x_panel(unit, before[point] + phase) + block * C * C, end - begin, count,
                     points + point * pixels.point_step + phase * pixels.phase_step, int64_t{1}, C);
  }

  // gy_panel(.., panel)[tile][channel] of a block; `room` takes a packed piece.
  void pack_gy(int64_t panel, int64_t block, T* points, T* room) const {
    constexpr int L = kLanes<T>;
    const int rows = panels.rows;
    const int64_t o = panel * rows, live = smaller(rows, s.K - o), plane = s.OH * s.OW;
    const int64_t count = smaller(C, tiles - block * C), step = pixels.point_step;
    if (live <= 0) return;
    for_block(block, [&](const TileRun& run) {
      const int64_t y = 2 * run.y, x = 2 * run.x, width = smaller(s.OW - x, 2 * run.size);
      const bool fits = run.at + L <= C;
      for (int64_t r = 0; r < live; ++r) {
        const T* const in = k.gy + (run.image * s.K + o + r) * plane + y * s.OW + x;
        Vec<T> half[2][3];
        EINKORN_UNROLL for (int a = 0; a < 2; ++a) {
          const int64_t inside = y + a < s.OH ? width : 0;
          const T* const p = in + (inside > 0 ? a * s.OW : 0);
          const Vec<T> v0 = load_window(p, make_window<T>(0, inside)),
                       v1 = load_window(p + L, make_window<T>(0, inside - L));
          half[a][0] = even<T>(v0, v1), half[a][2] = odd<T>(v0, v1), half[a][1] = half[a][0] + half[a][2];
        }
        T* const out = points + r * C + run.at;
        EINKORN_UNROLL for (int b = 0; b < 3; ++b) {
          const Vec<T> p[3] = {half[0][b], half[0][b] + half[1][b], half[1][b]};
          EINKORN_UNROLL for (int a = 0; a < 3; ++a) {
            if (fits)
              store(out + (a * 3 + b) * step, p[a]);
            else
              store_partial(out + (a * 3 + b) * step, run.size, p[a]);
          }
        }
      }
    });
    for (int point = 0; point < kStridedPoints; ++point) {
      T* const packed = gy_panel(point, panel) + block * C * rows;
      if (live < rows)  // rows that are not there
        for (int64_t e = live * C; e < rows * C; e += L) store(points + point * step + e, Vec<T>{});
      pack_a_panel(room, rows, count, points + point * step, C, 1);
      for_vectors<T>(count * rows, [&](int64_t e, int64_t n) { store_n(packed + e, n, load_n(room + e, n)); });
    }
  }

  // gw of the rows of panels begin to end and a unit of x.
  void multiply(int64_t begin, int64_t end, int64_t unit, T* m) const {
    constexpr int L = kLanes<T>;
    const int rows = panels.rows;
    const int64_t step = (end - begin) * rows * C;
    const Tile<T> product = choose_tile<T>(rows, s.C - unit * C > L ? 2 : 1);
    for (int point = 0; point < kStridedPoints; ++point)
      for (int64_t panel = before[point]; panel < before[point] + phases_of(size, point); ++panel)
        for (int64_t p = begin; p < end; ++p)
          product({tiles, gy_panel(point, p), x_panel(unit, panel), m + panel * step + (p - begin) * rows * C, C, rows,
                   nullptr, false, false});
    const int64_t first = unit * C, channels = smaller(C, s.C - first), taps_count = size * size;
    for (int64_t r = 0; r < smaller((end - begin) * rows, s.K - begin * rows); ++r) {
      T* const gw = k.gw + ((begin * rows + r) * s.C + first) * taps_count;
      for (int64_t e = 0; e < channels; e += L) {
        alignas(kVectorBytes) T taps[16][L];
        for (int phase = 0; phase < kPhases; ++phase) {
          Vec<T> half[2][3];
          const auto point = [&](int a, int b) __attribute__((always_inline)) {
            const int p = a * 3 + b;
            if (!has_point(size, false, phase / 2, a) || !has_point(size, false, phase % 2, b)) return Vec<T>{};
            return load(m + (before[p] + phase_index(size, p, phase / 2, phase % 2)) * step + r * C + e);
          };
          EINKORN_UNROLL for (int b = 0; b < 3; ++b) {
            const Vec<T> middle = point(1, b);
            half[0][b] = point(0, b) + middle;
            half[1][b] = middle + point(2, b);
          }
          // Taps two apart in both directions.
          EINKORN_UNROLL for (int t = 0; t < 4; ++t) {
            const int y = phase / 2 + t / 2 * 2, x = phase % 2 + t % 2 * 2;
            if (y < size && x < size) store(taps[y * size + x], half[t / 2][t % 2] + half[t / 2][t % 2 + 1]);
          }
        }
        const int64_t live = smaller(L, channels - e);
        for (int64_t c = 0; c < live; ++c)
          for (int64_t t = 0; t < taps_count; ++t) gw[(e + c) * taps_count + t] = taps[t][c];
      }
    }
  }
};

}  // namespace

template <class T>
void weight_grad_strided(const Conv2dWeightGrad<T>& k, const StridedGradScratch<T>& scratch) {
  const StridedGrad<T> work(k, scratch);
  const int64_t units = work.units, rows = work.panels.count;
  parallel_for(k.ws, (units + rows) * work.blocks, 60.0 * kTileColumns<T> * kTileColumns<T>,
               [&](int64_t task, int slot) {
                 const int64_t panel = task / work.blocks, block = task % work.blocks;
                 if (panel < units)
                   work.pack_x(panel, block, scratch.points[slot]);
                 else
                   work.pack_gy(panel - units, block, scratch.points[slot], scratch.room[slot]);
               });
  // A few panels at a time, fewer where there would be few tasks.
  const int64_t groups = smaller(rows, larger(ceil_div(rows, kStridedGradPanels), ceil_div(16, units)));
  const double cost = 0.01 * static_cast<double>(work.unit_panels * work.tiles * kTileColumns<T> * work.panels.rows *
                                                 ceil_div(rows, groups));
  parallel_for(k.ws, units * groups, cost, [&](int64_t task, int slot) {
    const int64_t group = task % groups;
    work.multiply(rows * group / groups, rows * (group + 1) / groups, task / groups, scratch.products[slot]);
  });
}

template void weight_grad_strided(const Conv2dWeightGrad<float>&, const StridedGradScratch<float>&);
template void weight_grad_strided(const Conv2dWeightGrad<double>&, const StridedGradScratch<double>&);

}  // namespace einkorn::EINKORN_ISA
