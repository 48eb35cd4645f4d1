// Winograd's minimal filtering F(2x2, 2x2) for 4x4 and 3x3 kernels of stride 2 and padding 1, forward and back: the halving and doubling
// layers of image generators, and those of residual networks. 9 multiplications where the plain sum of 4x4 taps takes 16.
//
// Every second pixel in both directions is a phase. A phase sees 2x2 of the kernel's taps, at stride 1:
//
//   forward   y[o] = sum over c and four phases of x of  (2x2 taps) over the phase          one product, 4 C deep
//   back      each phase of out[c] = sum over o of  (2x2 taps, turned round) over y         four products, K deep
//
//   Y = At [ (G g Gt) * (Bt d B) ] A      d: 3x3 pixels of a phase, g: 2x2 taps, Y: 2x2 outputs, * element by element
//
//        | 1 -1  0 |        | 1  0 |
//   Bt = | 0  1  0 |    G = | 1  1 |    At = | 1  1  0 |       nothing but sums: exact for integers
//        | 0 -1  1 |        | 0  1 |         | 0  1  1 |
//
// A 3x3 kernel is a 4x4 one whose last row and column are zero. In a direction, the phase of two taps has three points as before, that
// of one tap two, because the weights of the third are zero and left out: 25 multiplications where the plain sum takes 36. Forward
// a point's product is then C, 2 C or 4 C deep.
//
// U and V, the transformed weights and pixels, are 36/16 and 9/4 times as large as what they come from. The one that is used
// once for each block of 32 tiles or panel of output channels is made there and then, and stays in L2:
//
//   many blocks    U of all panels first;      then each block: its V, and the products with all panels
//   few blocks     V of all blocks first;      then each panel: its U, and the products with all blocks
//
// Tiles are counted flat over (n, y, x); transforms work on runs, neighbours in one row of tiles, with tiles in lanes: every
// fourth pixel of a row forward, every second one back.
//
// Versions, two threads of a Zen 4 EPYC (limit of the plain sum 234), GFLOP/s of the plain sum, N16, transposed:
// 512 to 256 channels 4x4 -> 8x8 / 256 to 128 8x8 -> 16x16 / 128 to 64 16x16 -> 32x32
//   plain sum by matrix product, phase by phase (conv_gemm.cpp)          131 / 173 / 179
//   passes for U, for V and for the products                             173 / 243 / 204
//   the larger of U and V made where it is used                          166 / 244 / 243     (the first two on a busier machine)
// The first is bound by its weights: 8 MB, and 19 MB of U, for two blocks of tiles.
//
// 3x3, one thread (limit 117), N8 C128 28x28 K256: 7.6 ms forward (torch 9.4; the products alone 5.6 at the limit, and that is what they
// take), 24.6 with both gradients (torch 29.1). Transforms of pixels take 12%, of weights 5%, of outputs 8%: rows of 7 tiles fill
// less than half of a vector. Two threads: 4.6 ms, 15.0 with both gradients (torch 5.2, 18.8): 13 blocks of tiles do not share evenly.

#include "kernels/conv/conv_winograd_strided.h"

#include "kernels/conv/conv_methods.h"
#include "kernels/conv/conv_tile.h"

namespace einkorn::EINKORN_ISA {

namespace {

// The blocking of a launch.
template <class T>
struct Strided {
  const StridedConvolution<T>& c;
  const StridedScratch<T>& scratch;
  RowPanels panels;
  int64_t tiles_y, tiles_x, tiles, blocks;
  int sets;                                // products of different weights and pixels: phases of the output, back
  int64_t depth[kPhases][kStridedPoints];  // of a product, and of those before it
  int64_t before[kPhases][kStridedPoints];
  int64_t total_depth;
  int64_t point_step;  // of V; odd in units of two lines: spreads points over L1's sets

  Strided(const StridedConvolution<T>& c, const StridedScratch<T>& scratch)
      : c(c), scratch(scratch), panels(row_panels(c.out_channels, kTileRows)) {
    const int64_t across = c.back ? 4 : 2;  // pixels of a tile
    tiles_y = ceil_div(c.out_h, across);
    tiles_x = ceil_div(c.out_w, across);
    tiles = c.images * tiles_y * tiles_x;
    blocks = ceil_div(tiles, kTileColumns<T>);
    sets = c.back ? kPhases : 1;
    int64_t sum = 0;
    for (int set = 0; set < sets; ++set)
      for (int p = 0; p < kStridedPoints; ++p) {
        const bool live = has_point(c.size, true, set / 2, p / 3) && has_point(c.size, true, set % 2, p % 3);
        depth[set][p] = c.in_channels * (c.back ? (live ? 1 : 0) : phases_of(c.size, p));
        before[set][p] = sum;
        sum += depth[set][p];
      }
    total_depth = sum;
    point_step = ((c.back ? 1 : kPhases) * c.in_channels + 1) * kTileColumns<T>;
  }

  // Of a panel of output channels: u[set][point][depth][row]. Of a block of tiles: v[set][point][depth][tile].
  int64_t weights_step() const { return total_depth * panels.rows; }
  int64_t input_step() const { return sets * kStridedPoints * point_step; }

  // One panel of output channels.
  void transform_weights(int64_t panel, T* u) const {
    constexpr int L = kLanes<T>, padded = (kTileRows + L - 1) / L * L;
    const int rows = panels.rows;
    const int64_t o = panel * rows;
    const int live = static_cast<int>(larger(smaller(rows, c.out_channels - o), 0));
    const T* const w = c.w + o * c.w_out_step;
    const int size = c.size, taps_count = size * size;
    T taps[16 * kTileRows + L];
    for (T& t : taps) t = 0;
    for (int64_t i = 0; i < c.in_channels; ++i) {
      if (live == rows)
        pack_a_panel(taps, rows, taps_count, w + i * c.w_in_step, c.w_out_step, 1);
      else
        for (int t = 0; t < taps_count; ++t)
          for (int r = 0; r < live; ++r) taps[t * rows + r] = w[r * c.w_out_step + i * c.w_in_step + t];
      EINKORN_UNROLL for (int r = 0; r < padded; r += L) {
        if (r >= rows) break;
        const int64_t n = smaller(L, rows - r);
        for (int phase = 0; phase < kPhases; ++phase) {
          // Forward a phase of the input sees taps a and a + 2; back a phase of the output gets them in the other order.
          const int a = c.back ? 1 - phase / 2 : phase / 2, b = c.back ? 1 - phase % 2 : phase % 2;
          Vec<T> g[2][2], half[3][2], point[3][3];
          EINKORN_UNROLL for (int s = 0; s < 2; ++s) EINKORN_UNROLL for (int t = 0; t < 2; ++t) {
            const int y = a + 2 * (c.back ? 1 - s : s), x = b + 2 * (c.back ? 1 - t : t);
            g[s][t] = y < size && x < size ? load_n(taps + (y * size + x) * rows + r, n) : Vec<T>{};
          }
          EINKORN_UNROLL for (int t = 0; t < 2; ++t) half[0][t] = g[0][t], half[1][t] = g[0][t] + g[1][t],
                                                     half[2][t] = g[1][t];
          EINKORN_UNROLL for (int s = 0; s < 3; ++s) point[s][0] = half[s][0], point[s][1] = half[s][0] + half[s][1],
                                                     point[s][2] = half[s][1];
          const int set = c.back ? phase : 0;
          EINKORN_UNROLL for (int p = 0; p < kStridedPoints; ++p) {
            if (!has_point(size, c.back, phase / 2, p / 3) || !has_point(size, c.back, phase % 2, p % 3)) continue;
            const int64_t at = c.back ? i : i * phases_of(size, p) + phase_index(size, p, phase / 2, phase % 2);
            store_n(u + (before[set][p] + at) * rows + r, n, point[p / 3][p % 3]);
          }
        }
      }
    }
  }

  // Back: 4x4 pixels a tile, every second one a lane; each phase of the output sees 3x3 of them.
  template <int kSize>
  __attribute__((noinline)) void share_pixels(const TileRun& run, T* v, int64_t begin, int64_t end) const {
    constexpr int L = kLanes<T>;
    const int64_t y = 2 * run.y - 1, x = 2 * run.x - 1;
    int64_t row[4];
    Window<T> window[4][4];  // of columns 0, 1 of the tiles in two vectors, and of columns 2, 3
    for (int a = 0; a < 4; ++a) {
      const bool inside = y + a >= 0 && y + a < c.in_h;
      row[a] = inside ? (y + a) * c.in_w + x : 0;
      for (int part = 0; part < 4; ++part) {
        const int64_t at = x + part % 2 * L + part / 2 * 2;
        window[a][part] = make_window<T>(-at, inside ? smaller(c.in_w, x + 2 * run.size + 2) - at : 0);
      }
    }
    const int64_t plane = c.in_h * c.in_w;
    const T* in = c.in + (run.image * c.in_channels + begin) * plane;
    for (int64_t i = begin; i < end; ++i, in += plane) {
      Vec<T> point[2][4][3];
      EINKORN_UNROLL for (int a = 0; a < 4; ++a) {
        const T* const p = in + row[a];
        __builtin_prefetch(p + 4 * plane);
        const Vec<T> v0 = load_window(p, window[a][0]), v1 = load_window(p + L, window[a][1]);
        const Vec<T> v2 = load_window(p + 2, window[a][2]), v3 = load_window(p + 2 + L, window[a][3]);
        const Vec<T> d0 = even<T>(v0, v1), d1 = odd<T>(v0, v1), d2 = even<T>(v2, v3), d3 = odd<T>(v2, v3);
        phase_points(d0, d1, d2, point[0][a][0], point[0][a][1], point[0][a][2]);
        phase_points(d1, d2, d3, point[1][a][0], point[1][a][1], point[1][a][2]);
      }
      EINKORN_UNROLL for (int phase = 0; phase < kPhases; ++phase) {
        Vec<T> seen[3][3];
        EINKORN_UNROLL for (int a = 0; a < 3; ++a) EINKORN_UNROLL for (int b = 0; b < 3; ++b) seen[a][b] =
            point[phase % 2][phase / 2 + a][b];
        put_points<T, kSize, true>(seen, run, phase / 2, phase % 2, [&](int p) __attribute__((always_inline)) {
          return v + (phase * kStridedPoints + p) * point_step + i * kTileColumns<T>;
        });
      }
    }
  }

  // At m A of a panel's rows: y[output][row][tile] of a set, from m[point][row][tile].
  void finish_products(const T* m, T* y, int live) const {
    constexpr int64_t L = kLanes<T>, C = kTileColumns<T>;
    const int64_t step = panels.rows * C;
    for (int64_t e = 0; e < live * C; e += L) {
      Vec<T> s[2][3];
      EINKORN_UNROLL for (int b = 0; b < 3; ++b) {
        const Vec<T> middle = load(m + (3 + b) * step + e);
        s[0][b] = load(m + b * step + e) + middle;
        s[1][b] = middle + load(m + (6 + b) * step + e);
      }
      EINKORN_UNROLL for (int a = 0; a < 2; ++a) {
        store(y + (a * 2) * step + e, s[a][0] + s[a][1]);
        store(y + (a * 2 + 1) * step + e, s[a][1] + s[a][2]);
      }
    }
  }

  // A run's outputs of a panel, with bias and activation, to where they belong.
  __attribute__((noinline)) void put_outputs(const TileRun& run, const T* y, int64_t o, int live) const {
    constexpr int L = kLanes<T>;
    const int64_t step = panels.rows * kTileColumns<T>, across = c.back ? 4 : 2;
    const int64_t first = across * run.x, size = smaller(across * run.size, c.out_w - first);
    for (int r = 0; r < live; ++r) {
      const T* const at = y + r * kTileColumns<T> + run.at;
      const Vec<T> bias = broadcast(c.bias != nullptr ? c.bias[o + r] : T(0));
      const auto value = [&](int64_t set, int64_t output) __attribute__((always_inline)) {
        return activate(load(at + (set * 4 + output) * step) + bias, c.activation);
      };
      T* const plane = c.out + (run.image * c.out_channels + o + r) * c.out_h * c.out_w;
      for (int64_t line = 0; line < across && across * run.y + line < c.out_h; ++line) {
        T* const to = plane + (across * run.y + line) * c.out_w + first;
        if (!c.back) {
          const Vec<T> y0 = value(0, line * 2), y1 = value(0, line * 2 + 1);
          store_n(to, smaller(size, L), zip_low<T>(y0, y1));
          if (size > L) store_n(to + L, size - L, zip_high<T>(y0, y1));
          continue;
        }
        const int64_t set = line % 2 * 2, output = line / 2 * 2;
        const Vec<T> a0 = value(set, output), a1 = value(set, output + 1);
        const Vec<T> b0 = value(set + 1, output), b1 = value(set + 1, output + 1);
        const Vec<T> a[2] = {zip_low<T>(a0, a1), zip_high<T>(a0, a1)}, b[2] = {zip_low<T>(b0, b1), zip_high<T>(b0, b1)};
        for (int half = 0; half < 2; ++half) {
          const int64_t begin = half * 2 * L;
          if (size > begin) store_n(to + begin, smaller(size - begin, L), zip_low<T>(a[half], b[half]));
          if (size > begin + L) store_n(to + begin + L, smaller(size - begin - L, L), zip_high<T>(a[half], b[half]));
        }
      }
    }
  }

  // Channels begin to end of a block of tiles.
  void transform_input(int64_t block, T* v, int64_t begin, int64_t end) const {
    constexpr int64_t C = kTileColumns<T>;
    for_runs(tiles_y, tiles_x, block * C, smaller(C, tiles - block * C), kLanes<T>, [&](const TileRun& run) {
      if (c.back) return c.size == 4 ? share_pixels<4>(run, v, begin, end) : share_pixels<3>(run, v, begin, end);
      const StridedPixels<T> pixels = {c.in, c.in_channels, c.in_h, c.in_w, point_step, 0};
      c.size == 4 ? pixels.template split_phases<4>(run, v, begin, end, begin)
                  : pixels.template split_phases<3>(run, v, begin, end, begin);
    });
  }

  // A panel of output channels for a block of tiles; m and y are room for its points and its outputs.
  void multiply(int64_t panel, const T* u, int64_t block, const T* v, T* m, T* y) const {
    constexpr int64_t C = kTileColumns<T>;
    const int64_t first = block * C, count = smaller(C, tiles - first), step = panels.rows * C;
    const int64_t o = panel * panels.rows;
    const int live = static_cast<int>(smaller(panels.rows, c.out_channels - o));
    if (live <= 0) return;
    const Tile<T> product = choose_tile<T>(panels.rows, count > kLanes<T> ? 2 : 1);
    for (int set = 0; set < sets; ++set) {
      for (int point = 0; point < kStridedPoints; ++point, v += point_step)
        product({depth[set][point], u + before[set][point] * panels.rows, v, m + point * step, C, live, nullptr, false,
                 false});
      finish_products(m, y + set * 4 * step, live);
    }
    for_runs(tiles_y, tiles_x, first, count, kLanes<T>, [&](const TileRun& run) { put_outputs(run, y, o, live); });
  }
};

}  // namespace

template <class T>
void convolve_strided_by_winograd(const StridedConvolution<T>& c, const StridedScratch<T>& scratch,
                                  const Workspace& ws) {
  const Strided<T> work(c, scratch);
  if (work.tiles == 0) return;
  const double channels = static_cast<double>(c.in_channels), columns = static_cast<double>(kTileColumns<T>);
  const double panel_cost = 60.0 * channels, block_cost = 200.0 * channels;
  const double product_cost = 0.01 * static_cast<double>(work.total_depth * work.panels.rows) * columns;
  if (has_many_strided_blocks(work.tiles)) {
    parallel_for(ws, work.panels.count, panel_cost, [&](int64_t panel, int) {
      work.transform_weights(panel, scratch.weights + panel * work.weights_step());
    });
    parallel_for(ws, work.blocks, block_cost + product_cost * static_cast<double>(work.panels.count),
                 [&](int64_t block, int slot) {
                   T* const v = scratch.input[slot];
                   work.transform_input(block, v, 0, c.in_channels);
                   for (int64_t panel = 0; panel < work.panels.count; ++panel)
                     work.multiply(panel, scratch.weights + panel * work.weights_step(), block, v,
                                   scratch.products[slot], scratch.outputs[slot]);
                 });
    return;
  }
  const int64_t chunks = smaller(c.in_channels, ceil_div(16, work.blocks));
  parallel_for(ws, work.blocks * chunks, block_cost / static_cast<double>(chunks), [&](int64_t task, int) {
    const int64_t block = task / chunks, chunk = task % chunks;
    work.transform_input(block, scratch.inputs + block * work.input_step(), c.in_channels * chunk / chunks,
                         c.in_channels * (chunk + 1) / chunks);
  });
  parallel_for(ws, work.panels.count, panel_cost + product_cost * static_cast<double>(work.blocks),
               [&](int64_t panel, int slot) {
                 T* const u = scratch.panel[slot];
                 work.transform_weights(panel, u);
                 for (int64_t block = 0; block < work.blocks; ++block)
                   work.multiply(panel, u, block, scratch.inputs + block * work.input_step(), scratch.products[slot],
                                 scratch.outputs[slot]);
               });
}

template void convolve_strided_by_winograd(const StridedConvolution<float>&, const StridedScratch<float>&,
                                           const Workspace&);
template void convolve_strided_by_winograd(const StridedConvolution<double>&, const StridedScratch<double>&,
                                           const Workspace&);

}  // namespace einkorn::EINKORN_ISA
