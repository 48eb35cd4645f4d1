// Winograd's minimal filtering F(2x2, 3x3): 16 multiplications for four outputs of a 3x3 kernel, where the plain sum takes 36.
//
//   Y = At [ (G g Gt) * (Bt d B) ] A      d: 4x4 pixels, g: 3x3 weights, Y: 2x2 outputs, * element by element
//
//        | 1  0 -1  0 |        | 1    0    0  |
//   Bt = | 0  1  1  0 |    G = | 1/2  1/2 1/2 |    At = | 1  1  1  0 |
//        | 0 -1  1  0 |        | 1/2 -1/2 1/2 |         | 0  1 -1 -1 |
//        | 0  1  0 -1 |        | 0    0    1  |
//
// Summed over channels, each of the 16 points is a matrix product: M[point] = U[point] V[point].
//
//                                     32 tiles
//                          point 15 +---------+
//                       point 0 +---------+   |  V: input transform of all channels, computed once a task, in L2
//                               |  C x 32 |---+
//     U  +-------------+        +---------+
//        | 14 x C      |        +---------+
//        |  x 16 points|        | 14 x 32 |      M: 16 points of one panel of output channels, in L1; then the output
//        +-------------+        +---------+         transform, bias, activation, and 2x2 pixels to each tile
//        | ...         |  streams from L2 or L3
//
// Tiles are counted flat over (n, y, x), so that no lane of the products idles. The transforms work on runs, neighbours in one
// row of tiles, with tiles in lanes: pixels 0, 2, 4, ... and 1, 3, 5, ... of a row are the first and second columns of the tiles.
// At 64 channels the transforms are an eighth of the instructions, at 256 a thirtieth.
//
// F(4x4, 3x3) would multiply less still, but with thirds and fifths: it is not exact for integers and loses three digits.
//
// Versions, one core (peak 240 to 300 GFLOP/s), in GFLOP/s of the plain sum: N32 C64 32x32 K64 / N16 K64->C32 74x74 input gradient
//   plain sum by matrix product (conv_gemm.cpp)                          125 / 100
//   this, input read as it comes                                         326 / 212      half the time waiting for pixels
//   fetching pixels four planes ahead                                    383 / 281
//   whole-vector stores of V, less repeated transforms of few tiles      423 / 311

#include "kernels/conv/conv_winograd.h"

#include "kernels/conv/conv_methods.h"
#include "kernels/conv/conv_tile.h"
#include "simd/shuffle.h"

namespace einkorn::EINKORN_ISA {

namespace {

// U[panel][point][i][row] for one panel of output channels.
template <class T>
void transform_weights(const WinogradConvolution<T>& c, T* u, int rows, int64_t o, int live) {
  constexpr int L = kLanes<T>, padded = (kTileRows + L - 1) / L * L;
  const T* w = c.w + o * c.w_out_step;
  T taps[9 * kTileRows + L];
  for (int64_t e = 0; e < 9 * kTileRows + L; ++e) taps[e] = 0;
  for (int64_t i = 0; i < c.in_channels; ++i) {
    if (live == rows)
      pack_a_panel(taps, rows, 9, w + i * c.w_in_step, c.w_out_step, 1);
    else
      for (int t = 0; t < 9; ++t)
        for (int r = 0; r < live; ++r) taps[t * rows + r] = w[r * c.w_out_step + i * c.w_in_step + t];
    EINKORN_UNROLL for (int r = 0; r < padded; r += L) {
      if (r >= rows) break;
      Vec<T> g[3][3], half[4][3], point[4][4];
      EINKORN_UNROLL for (int t = 0; t < 9; ++t) g[t / 3][t % 3] =
          load_n(taps + (c.flip ? 8 - t : t) * rows + r, smaller(L, rows - r));
      EINKORN_UNROLL for (int t = 0; t < 3; ++t) {
        const Vec<T> sum = (g[0][t] + g[2][t]) * T(0.5), middle = g[1][t] * T(0.5);
        half[0][t] = g[0][t], half[1][t] = sum + middle, half[2][t] = sum - middle, half[3][t] = g[2][t];
      }
      EINKORN_UNROLL for (int a = 0; a < 4; ++a) {
        const Vec<T> sum = (half[a][0] + half[a][2]) * T(0.5), middle = half[a][1] * T(0.5);
        point[a][0] = half[a][0], point[a][1] = sum + middle, point[a][2] = sum - middle, point[a][3] = half[a][2];
      }
      EINKORN_UNROLL for (int p = 0; p < 16; ++p)
          store_n(u + (p * c.in_channels + i) * rows + r, smaller(L, rows - r), point[p / 4][p % 4]);
    }
  }
}

// V[point][i][lane] for all channels of a run.
template <class T>
__attribute__((noinline)) void transform_input(const WinogradConvolution<T>& c, const TileRun& run, T* v,
                                               int64_t point_step) {
  constexpr int L = kLanes<T>;
  const int64_t y = 2 * run.y - c.pad_y, x = 2 * run.x - c.pad_x;
  int64_t row[4];
  Window<T> window[4][4];  // of columns 0, 1 of the tiles in two vectors, and of columns 2, 3
  for (int a = 0; a < 4; ++a) {
    const bool inside = y + a >= 0 && y + a < c.in_h;
    row[a] = inside ? (y + a) * c.in_w + x : 0;
    for (int b = 0; b < 4; ++b) {
      const int64_t at = x + b % 2 * L + b / 2 * 2;
      window[a][b] = make_window<T>(-at, inside ? c.in_w - at : 0);
    }
  }
  const T* in = c.in + run.image * c.in_channels * c.in_h * c.in_w;
  T* out = v + run.at;
  const bool fits = run.at + L <= kTileColumns<T>;  // a whole vector: what it writes past the run is the next run's
  for (int64_t i = 0; i < c.in_channels; ++i, in += c.in_h * c.in_w, out += kTileColumns<T>) {
    // Planes lie pages apart, where the hardware's prefetchers lose the track.
    EINKORN_UNROLL for (int a = 0; a < 4; ++a) {
      __builtin_prefetch(in + 4 * c.in_h * c.in_w + row[a]);
      __builtin_prefetch(in + 4 * c.in_h * c.in_w + row[a] + L);
      __builtin_prefetch(in + 4 * c.in_h * c.in_w + row[a] + 2 * L);
    }
    Vec<T> d[4][4];
    EINKORN_UNROLL for (int a = 0; a < 4; ++a) {
      const T* p = in + row[a];
      const Vec<T> v0 = load_window(p, window[a][0]), v1 = load_window(p + L, window[a][1]);
      const Vec<T> v2 = load_window(p + 2, window[a][2]), v3 = load_window(p + 2 + L, window[a][3]);
      const Vec<T> d0 = even<T>(v0, v1), d1 = odd<T>(v0, v1), d2 = even<T>(v2, v3), d3 = odd<T>(v2, v3);
      input_points(d0, d1, d2, d3, d[a][0], d[a][1], d[a][2], d[a][3]);
    }
    EINKORN_UNROLL for (int b = 0; b < 4; ++b) {
      Vec<T> p[4];
      input_points(d[0][b], d[1][b], d[2][b], d[3][b], p[0], p[1], p[2], p[3]);
      EINKORN_UNROLL for (int a = 0; a < 4; ++a) {
        if (fits)
          store(out + (a * 4 + b) * point_step, p[a]);
        else
          store_partial(out + (a * 4 + b) * point_step, run.size, p[a]);
      }
    }
  }
}

// 2x2 outputs of a run for `rows` output channels from o on; m[point][row][lane].
template <class T>
__attribute__((noinline)) void transform_output(const WinogradConvolution<T>& c, const TileRun& run, const T* m,
                                                int64_t point_step, int64_t o, int rows) {
  constexpr int L = kLanes<T>;
  const int64_t y = 2 * run.y, x = 2 * run.x, size = smaller(2 * run.size, c.out_w - x);
  const int64_t first = smaller(size, L), second = size - first;
  const bool two = y + 1 < c.out_h;
  T* out = c.out + ((run.image * c.out_channels + o) * c.out_h + y) * c.out_w + x;
  m += run.at;
  for (int r = 0; r < rows; ++r, m += kTileColumns<T>, out += c.out_h * c.out_w) {
    Vec<T> s[2][4];
    EINKORN_UNROLL for (int b = 0; b < 4; ++b) {
      const Vec<T> m0 = load(m + b * point_step), m1 = load(m + (4 + b) * point_step);
      const Vec<T> m2 = load(m + (8 + b) * point_step), m3 = load(m + (12 + b) * point_step);
      s[0][b] = m0 + m1 + m2, s[1][b] = m1 - m2 - m3;
    }
    const Vec<T> bias = broadcast(c.bias != nullptr ? c.bias[o + r] : T(0));
    EINKORN_UNROLL for (int a = 0; a < 2; ++a) {
      if (a == 1 && !two) break;
      const Vec<T> y0 = activate(s[a][0] + s[a][1] + s[a][2] + bias, c.activation);
      const Vec<T> y1 = activate(s[a][1] - s[a][2] - s[a][3] + bias, c.activation);
      T* p = out + a * c.out_w;
      store_n(p, first, zip_low<T>(y0, y1));
      if (second > 0) store_n(p + L, second, zip_high<T>(y0, y1));
    }
  }
}

}  // namespace

template <class T>
void convolve_by_winograd(const WinogradConvolution<T>& c, const WinogradScratch<T>& scratch, const Workspace& ws) {
  constexpr int64_t columns = kTileColumns<T>, L = kLanes<T>;
  const int64_t tiles_y = ceil_div(c.out_h, 2), tiles_x = ceil_div(c.out_w, 2);
  const int64_t tiles = c.images * tiles_y * tiles_x;
  if (tiles == 0) return;
  const RowPanels panels = row_panels(c.out_channels, kTileRows);
  const int64_t panel_size = 16 * c.in_channels * panels.rows;

  parallel_for(ws, panels.count, 40.0 * static_cast<double>(c.in_channels), [&](int64_t p, int) {
    transform_weights(c, scratch.weights + p * panel_size, panels.rows, p * panels.rows,
                      static_cast<int>(larger(smaller(panels.rows, c.out_channels - p * panels.rows), 0)));
  });

  // Few tiles: the panels of U are shared out as well, at the price of repeating the input transform.
  const int64_t blocks = ceil_div(tiles, columns);
  const int64_t splits = smaller(panels.count, ceil_div(8, blocks));
  const int64_t split_panels = ceil_div(panels.count, splits);
  const int64_t point_step =
      c.in_channels * columns + columns;  // odd in units of two lines: spreads points over L1's sets
  const Tile<T> products[2] = {choose_tile<T>(panels.rows, 1), choose_tile<T>(panels.rows, 2)};
  const double cost = 0.01 * 16.0 * static_cast<double>(c.in_channels * split_panels * panels.rows * columns);

  parallel_for(ws, blocks * splits, cost, [&](int64_t task, int slot) {
    const int64_t split = task % splits, first = task / splits * columns, count = smaller(columns, tiles - first);
    T* v = scratch.inputs[slot];
    T* m = scratch.products[slot];
    for_runs(tiles_y, tiles_x, first, count, L, [&](const TileRun& run) { transform_input(c, run, v, point_step); });

    const Tile<T> product = products[count > L];
    const int64_t m_step = panels.rows * columns;
    for (int64_t p = split * split_panels; p < smaller(panels.count, (split + 1) * split_panels); ++p) {
      const int64_t o = p * panels.rows;
      const int live = static_cast<int>(smaller(panels.rows, c.out_channels - o));
      if (live <= 0) break;
      for (int point = 0; point < 16; ++point)
        product({c.in_channels, scratch.weights + p * panel_size + point * c.in_channels * panels.rows,
                 v + point * point_step, m + point * m_step, columns, live, nullptr, false, false});
      for_runs(tiles_y, tiles_x, first, count, L,
               [&](const TileRun& run) { transform_output(c, run, m, m_step, o, live); });
    }
  });
}

template void convolve_by_winograd(const WinogradConvolution<float>&, const WinogradScratch<float>&, const Workspace&);
template void convolve_by_winograd(const WinogradConvolution<double>&, const WinogradScratch<double>&,
                                   const Workspace&);

}  // namespace einkorn::EINKORN_ISA
