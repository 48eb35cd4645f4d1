// Weight gradient of 4x4 kernels at stride 2 and padding 1 by Winograd's F(2x2, 2x2): for each tile, 2x2 pixels of gy slide over
// the 3x3 pixels of each phase of x (conv_winograd_strided.cpp), 9 multiplications for the 2x2 taps of a phase instead of 16.
//
//   Y = At [ sum over tiles of (G gy Gt) * (Bt d B) ] A
//
//                                  channels and phases of x
//                                     +-----------+
//                        tiles        | V[point]  |  panels of B, one after the other
//                     +-----------+   +-----------+
//   channels of gy    | Z[point]  |   | W[point]  |  then 2x2 taps of each phase
//                     +-----------+   +-----------+
//
// The first pass transforms and packs both sides, blocks of tiles of a panel's channels at a time; the second goes through
// pairs of a panel of x and a few panels of gy, a point at a time, so that the point's V stays in L2 for all of them.
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
  static constexpr int64_t kChannels = C / kPhases;  // of x in a panel
  const Conv2dWeightGrad<T>& k;
  const StridedGradScratch<T>& scratch;
  const ConvShape& s;
  StridedPixels<T> pixels;
  RowPanels panels;
  int64_t tiles_y, tiles_x, tiles, blocks, column_panels;

  StridedGrad(const Conv2dWeightGrad<T>& k, const StridedGradScratch<T>& scratch)
      : k(k),
        scratch(scratch),
        s(k.shape),
        pixels{k.x, s.C, s.H, s.W, (larger(C, kTileRows) + 1) * C},
        panels(row_panels(s.K, kTileRows)),
        tiles_y(ceil_div(s.OH, 2)),
        tiles_x(ceil_div(s.OW, 2)),
        tiles(s.N * tiles_y * tiles_x),
        blocks(ceil_div(tiles, C)),
        column_panels(ceil_div(s.C, kChannels)) {}

  T* x_panel(int64_t point, int64_t panel) const { return scratch.x + (point * column_panels + panel) * tiles * C; }
  T* gy_panel(int64_t point, int64_t panel) const {
    return scratch.gy + (point * panels.count + panel) * tiles * panels.rows;
  }

  template <class Body>
  void for_block(int64_t block, const Body& body) const {
    for_runs(tiles_y, tiles_x, block * C, smaller(C, tiles - block * C), kLanes<T>, body);
  }

  // x_panel(.., panel)[tile][channel and phase] of a block.
  void pack_x(int64_t panel, int64_t block, T* points) const {
    const int64_t begin = panel * kChannels, end = smaller(begin + kChannels, s.C),
                  count = smaller(C, tiles - block * C);
    for_block(block, [&](const TileRun& run) { pixels.split_phases(run, points, begin, end, begin); });
    for (int point = 0; point < kStridedPoints; ++point)
      pack_b_slice(x_panel(point, panel) + block * C * C, (end - begin) * kPhases, count,
                   points + point * pixels.point_step, int64_t{1}, C);
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

  // gw of the rows of panels begin to end and a panel of x.
  void multiply(int64_t begin, int64_t end, int64_t panel, T* m) const {
    constexpr int L = kLanes<T>;
    const int rows = panels.rows;
    const int64_t step = (end - begin) * rows * C;
    const Tile<T> product = choose_tile<T>(rows, 2);
    for (int point = 0; point < kStridedPoints; ++point)
      for (int64_t p = begin; p < end; ++p)
        product({tiles, gy_panel(point, p), x_panel(point, panel), m + point * step + (p - begin) * rows * C, C, rows,
                 nullptr, false, false});
    const int64_t first = panel * kChannels, channels = smaller(kChannels, s.C - first);
    for (int64_t r = 0; r < smaller((end - begin) * rows, s.K - begin * rows); ++r) {
      alignas(kVectorBytes) T taps[4][C];
      for (int64_t e = 0; e < C; e += L) {
        const T* const at = m + r * C + e;
        Vec<T> half[2][3];
        EINKORN_UNROLL for (int b = 0; b < 3; ++b) {
          const Vec<T> middle = load(at + (3 + b) * step);
          half[0][b] = load(at + b * step) + middle;
          half[1][b] = middle + load(at + (6 + b) * step);
        }
        EINKORN_UNROLL for (int a = 0; a < 2; ++a) {
          store(&taps[a * 2][e], half[a][0] + half[a][1]);
          store(&taps[a * 2 + 1][e], half[a][1] + half[a][2]);
        }
      }
      T* const gw = k.gw + ((begin * rows + r) * s.C + first) * 16;
      for (int64_t c = 0; c < channels; ++c)
        for (int phase = 0; phase < kPhases; ++phase) {
          T* const to = gw + c * 16 + phase / 2 * 4 + phase % 2;  // taps two apart in both directions
          EINKORN_UNROLL for (int t = 0; t < 4; ++t) to[t / 2 * 8 + t % 2 * 2] = taps[t][c * kPhases + phase];
        }
    }
  }
};

}  // namespace

template <class T>
void weight_grad_strided(const Conv2dWeightGrad<T>& k, const StridedGradScratch<T>& scratch) {
  const StridedGrad<T> work(k, scratch);
  const int64_t columns = work.column_panels, rows = work.panels.count;
  parallel_for(k.ws, (columns + rows) * work.blocks, 30.0 * kTileColumns<T> * kTileColumns<T>,
               [&](int64_t task, int slot) {
                 const int64_t panel = task / work.blocks, block = task % work.blocks;
                 if (panel < columns)
                   work.pack_x(panel, block, scratch.points[slot]);
                 else
                   work.pack_gy(panel - columns, block, scratch.points[slot], scratch.room[slot]);
               });
  const int64_t groups = ceil_div(rows, kStridedGradPanels);
  const double cost = 0.01 * kStridedPoints *
                      static_cast<double>(work.tiles * kTileColumns<T> * work.panels.rows * rows) /
                      static_cast<double>(groups);
  parallel_for(k.ws, columns * groups, cost, [&](int64_t task, int slot) {
    const int64_t group = task % groups;
    work.multiply(rows * group / groups, rows * (group + 1) / groups, task / groups, scratch.products[slot]);
  });
}

template void weight_grad_strided(const Conv2dWeightGrad<float>&, const StridedGradScratch<float>&);
template void weight_grad_strided(const Conv2dWeightGrad<double>&, const StridedGradScratch<double>&);

}  // namespace einkorn::EINKORN_ISA
