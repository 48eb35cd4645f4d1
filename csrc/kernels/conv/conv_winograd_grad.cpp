// Weight gradient by Winograd's method: F(3x3, 2x2), the transpose of conv_winograd.cpp's algorithm in its weights.
//
//   gw = sum over tiles of  Gt [ (A gy At) * (Bt d B) ] G         d: 4x4 pixels, gy: the 2x2 gradients of its outputs
//
// 16 multiplications for each tile and pair of channels instead of 36. The sum over tiles is a matrix product per point:
//
//                                 32 input channels
//            panel of K          +------------------+
//           +---------+          |  V [point]       |
//    tiles  | Z[point]|   tiles  |  [tile][channel] |        W[point] += Zt V    14 x 32, in registers over a chunk of tiles
//           | [tile]  |          |                  |
//           | [row]   |          +------------------+
//           +---------+
//
// Both operands run along channels here, so pixels are transposed first, kLanes channels at a time, and the transforms then work
// with channels in lanes: no lane is wasted at the ends of image rows. Tiles come in chunks that fit the L2 caches. While one
// chunk is multiplied the next is transformed, in one pool of tasks, so there is one barrier to a chunk.
// The sums stay in W until the end; Gt W G then gives the nine taps.
//
// Versions, one core, in GFLOP/s of the plain sum: N32 C64 32x32 K64 / N16 C32 74x74 K64 / N8 C256 14x14 K256
//   dot products (conv_weight_grad.cpp)                                  132 / 128 / 129
//   this, pixels read as they come                                       265 / 191 / 393
//   fetching the next row of tiles                                       286 / 243 / 389
//   points an odd number of cache lines apart                            323 / 276 / 398   a power of two had put all 16 into one set

#include "kernels/conv/conv_methods.h"
#include "kernels/conv/conv_tile.h"
#include "kernels/conv/conv_winograd.h"

namespace einkorn::EINKORN_ISA {

namespace {

// px[j][lane] = pixel x + j of one row of `live` neighboring channels, zero outside the image, for j < size.
// `ahead`: fetch what the next row of tiles will want; channels lie pages apart, where the hardware's prefetchers lose the track.
template <class T>
EINKORN_INLINE void gather_pixels(T* px, const T* row, int64_t channel_step, int64_t live, int64_t x, int64_t size,
                                  int64_t width, bool inside, bool ahead) {
  constexpr int64_t L = kLanes<T>;
  const int64_t low = smaller(x < 0 ? -x : 0, size), high = inside ? larger(smaller(size, width - x), low) : low;
  for (int64_t j = 0; j < low; ++j) store(px + j * L, Vec<T>{});
  for (int64_t j = low; j < high; j += L) {
    transpose_block(px + j * L, L, row + x + j, channel_step, live, smaller(L, high - j));
    if (ahead)
      for (int64_t c = 0; c < live; ++c) __builtin_prefetch(row + c * channel_step + x + j + 2 * width);
  }
  for (int64_t j = high; j < size; ++j) store(px + j * L, Vec<T>{});
}

// out[point * point_step + tile * tile_step + lane], for `live` channels whose first plane is `in`.
template <class T>
void transform_pixels(const ConvShape& s, const T* in, int64_t live, int64_t first, int64_t count, T* px, T* out,
                      int64_t point_step, int64_t tile_step) {
  constexpr int64_t L = kLanes<T>, row_step = 2 * L * L;
  for_runs(ceil_div(s.OH, 2), ceil_div(s.OW, 2), first, count, L - 1, [&](const TileRun& run) {
    const T* image = in + run.image * s.C * s.H * s.W;
    for (int64_t a = 0; a < 4; ++a) {
      const int64_t y = 2 * run.y - s.pad_h + a;
      const bool inside = y >= 0 && y < s.H;
      gather_pixels(px + a * row_step, inside ? image + y * s.W : image, s.H * s.W, live, 2 * run.x - s.pad_w,
                    2 * run.size + 2, s.W, inside, a >= 2);
    }
    T* p = out + run.at * tile_step;
    for (int64_t t = 0; t < run.size; ++t, p += tile_step) {
      Vec<T> d[4][4];
      EINKORN_UNROLL for (int a = 0; a < 4; ++a) {
        const T* q = px + a * row_step + 2 * t * L;
        input_points(load(q), load(q + L), load(q + 2 * L), load(q + 3 * L), d[a][0], d[a][1], d[a][2], d[a][3]);
      }
      EINKORN_UNROLL for (int b = 0; b < 4; ++b) {
        Vec<T> v[4];
        input_points(d[0][b], d[1][b], d[2][b], d[3][b], v[0], v[1], v[2], v[3]);
        EINKORN_UNROLL for (int a = 0; a < 4; ++a) store(p + (a * 4 + b) * point_step, v[a]);
      }
    }
  });
}

// Likewise A gy At, of output channels; only `live` lanes are written, for the panels lie close together.
template <class T>
void transform_gradients(const ConvShape& s, const T* gy, int64_t live, int64_t first, int64_t count, T* px, T* out,
                         int64_t point_step, int64_t tile_step) {
  constexpr int64_t L = kLanes<T>, row_step = 2 * L * L;
  for_runs(ceil_div(s.OH, 2), ceil_div(s.OW, 2), first, count, L, [&](const TileRun& run) {
    const T* image = gy + run.image * s.K * s.OH * s.OW;
    for (int64_t a = 0; a < 2; ++a) {
      const bool inside = 2 * run.y + a < s.OH;
      gather_pixels(px + a * row_step, inside ? image + (2 * run.y + a) * s.OW : image, s.OH * s.OW, live, 2 * run.x,
                    2 * run.size, s.OW, inside, true);
    }
    T* p = out + run.at * tile_step;
    for (int64_t t = 0; t < run.size; ++t, p += tile_step) {
      Vec<T> z[2][4];
      EINKORN_UNROLL for (int a = 0; a < 2; ++a) {
        const Vec<T> g0 = load(px + a * row_step + 2 * t * L), g1 = load(px + a * row_step + (2 * t + 1) * L);
        z[a][0] = g0, z[a][1] = g0 + g1, z[a][2] = g0 - g1, z[a][3] = -g1;
      }
      EINKORN_UNROLL for (int b = 0; b < 4; ++b) {
        store_n(p + b * point_step, live, z[0][b]);
        store_n(p + (4 + b) * point_step, live, z[0][b] + z[1][b]);
        store_n(p + (8 + b) * point_step, live, z[0][b] - z[1][b]);
        store_n(p + (12 + b) * point_step, live, -z[1][b]);
      }
    }
  });
}

// gw[c][0..8] of `channels` input channels from w[point][lane], one output channel.
template <class T>
EINKORN_INLINE void transform_sums(T* gw, const T* w, int64_t point_step, int64_t channels) {
  constexpr int64_t L = kLanes<T>;
  Vec<T> half[3][4];
  EINKORN_UNROLL for (int b = 0; b < 4; ++b) {
    const Vec<T> w0 = load(w + b * point_step), w1 = load(w + (4 + b) * point_step);
    const Vec<T> w2 = load(w + (8 + b) * point_step), w3 = load(w + (12 + b) * point_step);
    const Vec<T> sum = (w1 + w2) * T(0.5);
    half[0][b] = w0 + sum, half[1][b] = (w1 - w2) * T(0.5), half[2][b] = sum + w3;
  }
  T taps[9 * L];
  EINKORN_UNROLL for (int a = 0; a < 3; ++a) {
    const Vec<T> sum = (half[a][1] + half[a][2]) * T(0.5);
    store(taps + 3 * a * L, half[a][0] + sum);
    store(taps + (3 * a + 1) * L, (half[a][1] - half[a][2]) * T(0.5));
    store(taps + (3 * a + 2) * L, sum + half[a][3]);
  }
  if constexpr (L >= 9) {
    if (channels > L) {  // whole vectors may run on into the next channels, which are written later
      transpose_block(gw, 9, taps, L, 9, L);
      return;
    }
  }
  for (int64_t c = 0; c < smaller(channels, L); ++c)
    for (int t = 0; t < 9; ++t) gw[c * 9 + t] = taps[t * L + c];
}

}  // namespace

template <class T>
void weight_grad_by_winograd(const Conv2dWeightGrad<T>& k, const WinogradGradScratch<T>& scratch) {
  constexpr int64_t L = kLanes<T>, columns = kTileColumns<T>;
  const ConvShape& s = k.shape;
  const int64_t tiles = s.N * ceil_div(s.OH, 2) * ceil_div(s.OW, 2);
  if (tiles == 0) {
    for (int64_t i = 0; i < s.K * s.C * 9; ++i) k.gw[i] = 0;
    return;
  }
  const int64_t chunk = grad_chunk(s), chunks = ceil_div(tiles, chunk);
  const RowPanels panels = row_panels(s.K, kTileRows);
  const int64_t blocks = ceil_div(s.C, columns), rows = panels.rows;
  const Tile<T> products[2] = {choose_tile<T>(panels.rows, 1), choose_tile<T>(panels.rows, 2)};

  const int64_t x_step = odd_lines(chunk * columns), gy_step = odd_lines(chunk * rows);  // from point to point

  // Transforms: one task for a group of channels that fits a vector, of x first, then of gy.
  const int64_t x_groups = ceil_div(s.C, L), gy_groups_a_panel = ceil_div(rows, L);
  const int64_t transforms = x_groups + panels.count * gy_groups_a_panel;
  const auto transform = [&](int64_t number, int64_t task, int slot) {
    const int64_t first = number * chunk, count = smaller(chunk, tiles - first);
    T* px = scratch.pixels[slot];
    if (task < x_groups) {
      const int64_t c = task * L, block = c / columns;
      transform_pixels(s, k.x + c * s.H * s.W, smaller(L, s.C - c), first, count, px,
                       scratch.inputs[number % 2] + block * kPoints * x_step + c % columns, x_step, columns);
    } else {
      const int64_t panel = (task - x_groups) / gy_groups_a_panel, r = (task - x_groups) % gy_groups_a_panel * L;
      const int64_t live = smaller(smaller(L, rows - r), s.K - panel * rows - r);
      if (live > 0)
        transform_gradients(s, k.gy + (panel * rows + r) * s.OH * s.OW, live, first, count, px,
                            scratch.outputs[number % 2] + panel * kPoints * gy_step + r, gy_step, rows);
    }
  };
  const auto multiply = [&](int64_t number, int64_t task) {
    const int64_t block = task / panels.count, panel = task % panels.count;
    const int64_t count = smaller(chunk, tiles - number * chunk);
    const Tile<T> product = products[s.C - block * columns > L];
    for (int64_t point = 0; point < kPoints; ++point)
      product({count, scratch.outputs[number % 2] + (panel * kPoints + point) * gy_step,
               scratch.inputs[number % 2] + (block * kPoints + point) * x_step,
               scratch.sums + (task * kPoints + point) * rows * columns, columns, panels.rows, nullptr, false,
               number > 0});
  };

  const double macs = static_cast<double>(kPoints * chunk * rows * columns);
  parallel_for(k.ws, transforms, 10.0 * static_cast<double>(chunk),
               [&](int64_t task, int slot) { transform(0, task, slot); });
  for (int64_t number = 0; number < chunks; ++number) {
    const int64_t multiplications = blocks * panels.count;
    parallel_for(k.ws, multiplications + (number + 1 < chunks ? transforms : 0), 0.005 * macs,
                 [&](int64_t task, int slot) {
                   if (task < multiplications)
                     multiply(number, task);
                   else
                     transform(number + 1, task - multiplications, slot);
                 });
  }

  parallel_for(k.ws, s.K, 3.0 * static_cast<double>(s.C), [&](int64_t o, int) {
    for (int64_t c = 0; c < s.C; c += L) {
      const int64_t task = c / columns * panels.count + o / rows;
      transform_sums(k.gw + (o * s.C + c) * 9,
                     scratch.sums + (task * kPoints * rows + o % rows) * columns + c % columns, rows * columns,
                     s.C - c);
    }
  });
}

template void weight_grad_by_winograd(const Conv2dWeightGrad<float>&, const WinogradGradScratch<float>&);
template void weight_grad_by_winograd(const Conv2dWeightGrad<double>&, const WinogradGradScratch<double>&);

}  // namespace einkorn::EINKORN_ISA
