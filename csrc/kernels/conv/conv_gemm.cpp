// Convolution as a matrix product with an implicit right-hand side.
//
//                                      32 positions
//                                    +-------------+
//                                    |   columns   |   C/groups * R * S rows, packed a block at a time (conv_columns.h):
//                                    |             |   it stays in L1 or L2 and is used by all panels of w
//      w [K/groups, C/groups*R*S]    +-------------+
//     +------------------------+     +-------------+
//     | panel of 6..14 rows    |     |  C tile in  |   the whole sum runs in registers, then bias and activation, and the
//     +------------------------+     |  registers  |   tile is stored once
//     | panel ...              |     +-------------+
//
// Blocks run flat over (n, y, x), so no lane idles except in the very last block; a tile that spans two images, or whose outputs
// are not neighbours, goes through a buffer. The input gradient uses the same loop (conv.cpp): it is a sum over taps as well.
//
// Versions, one core, GFLOP/s: 1x1 N8 C64->256 56x56 forward / input gradient; 7x7 stride 2 N8 C3->64 224x224 forward
//   windows worked out for each copy                                     136 /  91; 121
//   windows once a run, pixels fetched four planes ahead                 168 / 124; 143
//   four blocks a task: rows written 512 bytes at a time                 179 / 136; 162
// One core of Emerald Rapids beside other programs, 1x1 N8 C256->1024 14x14, ms, by turns: the outputs' lines asked for before a tile
// 5.91 for 5.90, with gradients 23.9 for 24.1; that is 139 of 177 GFLOP/s forward, what a product of that size has (matmul.cpp).
// Two blocks a task of 1024 steps, as its input gradient has: 6.70 to 6.79 for 6.67 to 6.85. With its weight gradient by outer products
// (conv_grad_outer.h) that row takes 20.5 (PyTorch 20.8): 5.8, 6.8 and 7.0, the limit 4.6 each.
// A product of that size, 1024 x 256 by 1568, takes 5.4 (153 GFLOP/s): forward is at 92% of it.

#include "kernels/conv/conv_columns.h"
#include "kernels/conv/conv_methods.h"
#include "kernels/conv/conv_panels.h"
#include "kernels/conv/conv_tile.h"

namespace einkorn::EINKORN_ISA {

namespace {

template <class T>
void activate_rows(T* c, int64_t c_step, int rows, int64_t columns, Activation activation) {
  for (int r = 0; r < rows; ++r)
    for_vectors<T>(columns, [&](int64_t j, int64_t n) {
      T* p = c + r * c_step + j;
      store_n(p, n, activate(load_n(p, n), activation));
    });
}

// Copies a tile to its positions, image by image and, where positions are not neighbours in memory, pixel by pixel.
template <class T>
void scatter_tile(const TapConvolution<T>& c, const T* tile, int rows, int64_t channel, int64_t first, int64_t count) {
  const int64_t grid = c.grid_h * c.grid_w, plane = c.out_h * c.out_w;
  const bool neighbors = grid == plane;
  for (int64_t j = 0; j < count;) {
    const int64_t image = (first + j) / grid, rest = (first + j) % grid;
    const int64_t y = rest / c.grid_w, x = rest % c.grid_w;
    const int64_t size = smaller(neighbors ? grid - rest : c.grid_w - x, count - j);
    T* out = c.out + (image * c.groups * c.out_channels + channel) * plane;
    out += neighbors ? rest : (c.first_y + y * c.out_step_y) * c.out_w + c.first_x + x * c.out_step_x;
    for (int r = 0; r < rows; ++r, out += plane) {
      const T* row = tile + r * kTileColumns<T> + j;
      if (neighbors)
        for_vectors<T>(size, [&](int64_t i, int64_t n) { store_n(out + i, n, load_n(row + i, n)); });
      else
        for (int64_t i = 0; i < size; ++i) out[i * c.out_step_x] = row[i];
    }
    j += size;
  }
}

// A phase, whose panels of w begin at `weights`.
template <class T>
void multiply(const TapConvolution<T>& c, const T* weights, const RowPanels& panels, const GemmScratch<T>& scratch,
              const Workspace& ws) {
  constexpr int64_t columns = kTileColumns<T>;
  const int64_t grid = c.grid_h * c.grid_w, plane = c.out_h * c.out_w;
  const int64_t positions = c.images * grid, steps = c.in_channels * c.taps;

  // Few positions: cut the panels of w as well, so that there is work for all threads.
  const int64_t blocks = ceil_div(positions, columns);
  const int64_t task_blocks = blocks < 128 ? 1 : gemm_blocks(steps), block_tasks = ceil_div(blocks, task_blocks);
  const int64_t splits = smaller(panels.count, ceil_div(16, block_tasks * c.groups));
  const int64_t split_panels = ceil_div(panels.count, splits);
  const Tile<T> tiles[2] = {choose_tile<T>(panels.rows, 1), choose_tile<T>(panels.rows, 2)};
  const bool late_activation = c.activation != Activation::none && c.activation != Activation::relu;
  const double cost = 0.01 * static_cast<double>(steps * split_panels * panels.rows * columns * task_blocks);

  parallel_for(ws, block_tasks * c.groups * splits, cost, [&](int64_t task, int slot) {
    const int64_t split = task % splits, group = task / splits % c.groups,
                  block = task / splits / c.groups * task_blocks;
    const int64_t end = smaller(positions, (block + task_blocks) * columns);
    T* packed = scratch.panels[slot];
    T* buffer = scratch.tiles[slot];
    const ColumnSource<T> source = {c.in + group * c.in_channels * c.in_h * c.in_w,
                                    c.groups * c.in_channels * c.in_h * c.in_w,
                                    c.in_channels,
                                    c.in_h,
                                    c.in_w,
                                    c.grid_h,
                                    c.grid_w,
                                    c.in_step_y,
                                    c.in_step_x,
                                    c.tap,
                                    c.taps};
    for (int64_t first = block * columns, b = 0; first < end; first += columns, ++b)
      pack_columns(packed + b * steps * columns, columns, source, first, smaller(columns, end - first),
                   scratch.windows[slot]);

    for (int64_t p = split * split_panels; p < smaller(panels.count, (split + 1) * split_panels); ++p) {
      const int64_t channel = group * c.out_channels + p * panels.rows;
      const int live = static_cast<int>(smaller(panels.rows, c.out_channels - p * panels.rows));
      if (live <= 0) break;
      for (int64_t first = block * columns, b = 0; first < end; first += columns, ++b) {
        const int64_t count = smaller(columns, end - first), image = first / grid;
        const bool direct = count == columns && grid == plane && (first + count - 1) / grid == image;
        TileJob<T> job = {steps,
                          weights + (group * panels.count + p) * panel_step(c, panels),
                          packed + b * steps * columns,
                          buffer,
                          columns,
                          live,
                          c.bias ? c.bias + channel : nullptr,
                          c.activation == Activation::relu,
                          false};
        if (direct) {
          job.c = c.out + (image * c.groups * c.out_channels + channel) * plane + first % grid;
          job.c_step = plane;
        }
        tiles[count > kLanes<T>](job);
        if (late_activation) activate_rows(job.c, job.c_step, live, count, c.activation);
        if (!direct) scatter_tile(c, buffer, live, channel, first, count);
      }
    }
  });
}

}  // namespace

template <class T>
void convolve_by_gemm(const TapConvolution<T>* phases, int count, const GemmScratch<T>& scratch, const Workspace& ws) {
  const TapConvolution<T>& c = phases[0];
  if (c.images == 0 || c.out_channels == 0 || c.groups == 0) return;
  const RowPanels panels = row_panels(c.out_channels, kTileRows);
  pack_weights(phases, count, scratch.weights, panels, ws);
  const T* weights = scratch.weights;
  for (int p = 0; p < count; ++p) {
    if (phases[p].grid_h * phases[p].grid_w > 0) multiply(phases[p], weights, panels, scratch, ws);
    weights += c.groups * panels.count * panel_step(phases[p], panels);
  }
}

template void convolve_by_gemm(const TapConvolution<float>*, int, const GemmScratch<float>&, const Workspace&);
template void convolve_by_gemm(const TapConvolution<double>*, int, const GemmScratch<double>&, const Workspace&);

}  // namespace einkorn::EINKORN_ISA
