// cascade_scan on the GPU, level by level: the image resized, its tables of sums, then its windows.
//
//   first stage   a thread a window: flat, failed or passed, a byte each
//   rows          a thread a row passes over the window after each that was looked at and failed, as the contract has it
//   stages        a thread a window that is left goes through the other stages until one fails
//   boxes         rows counted, counts summed (cuda_sums.h), and a thread a row writes its boxes in order
//
// Most windows end in the first stages; threads of a warp whose windows live longer are waited for. Levels of one size of launch each:
// a photograph has some 20, at 8 launches, 0.5 ms in all where its windows are few.
//
// Roofline: a node of two rectangles reads 8 sums of 4 bytes from L2 and does 20 operations. 715 x 1024 at a factor of 1.1 has 3.3 million
// windows of about 20 nodes each: 2.1 GB of L2 at 5.5 TB/s, 0.4 ms.
// Plan: first_stages, later_stages: 64 registers, 4 blocks of 256 threads an SM, 16 bytes spilled

#include "kernels/cuda_sums.h"
#include "kernels/haar/haar_cuda.h"

namespace einkorn::cuda {

namespace {

enum Window : uint8_t { kOut, kFailed, kAlive };

// A level's windows, and where its tables are.
struct LevelScan {
  HaarCascade cascade;
  HaarTables<int32_t> tables;  // sums of squares too are right modulo 2^32
  const HaarNode* nodes;
  uint8_t* windows;  // [rows, across]
  int64_t across, rows, step;
};

__device__ __forceinline__ void place_corners(int32_t* corner, const int32_t* rect, bool tilted, int64_t pitch,
                                              int64_t plane) {
  const int64_t x = rect[0], y = rect[1], w = rect[2], h = rect[3];
  const int64_t upright[4][2] = {{x, y}, {x + w, y}, {x, y + h}, {x + w, y + h}};
  const int64_t turned[4][2] = {{x, y}, {x - h, y + h}, {x + w, y + w}, {x + w - h, y + w + h}};
  for (int i = 0; i < 4; ++i) {
    const int64_t column = tilted ? turned[i][0] : upright[i][0], row = tilted ? turned[i][1] : upright[i][1];
    corner[i] = static_cast<int32_t>(row * pitch + column + (tilted ? plane : 0));
  }
}

// Nodes with their rectangles' corners as distances from the window's first sum; tilted sums lie `plane` behind the others.
__global__ void __launch_bounds__(kBlock) prepare_nodes(HaarCascade c, HaarNode* nodes, int64_t pitch, int64_t plane) {
  grid_stride(c.stage_trees[c.stages], [&](int64_t tree) {
    for (int64_t n = c.tree_nodes[tree]; n < c.tree_nodes[tree + 1]; ++n) {
      HaarNode node;
      const int64_t feature = c.feature[n];
      for (int r = 0; r < 3; ++r) {
        place_corners(node.corner + 4 * r, c.rects + 12 * feature + 4 * r, c.tilted[feature] != 0, pitch, plane);
        node.weight[r] = c.weights[3 * feature + r];
      }
      node.threshold = c.threshold[n];
      node.left_value = c.left_value[n];
      node.right_value = c.right_value[n];
      node.left = static_cast<int16_t>(c.left[n]);
      node.right = static_cast<int16_t>(c.right[n]);
      node.tree_nodes = c.tree_nodes[tree + 1] - c.tree_nodes[tree];
      nodes[n] = node;
    }
  });
}

__device__ __forceinline__ int32_t rectangle(const int32_t* p, const int32_t* corner) {
  return p[corner[0]] - p[corner[1]] - p[corner[2]] + p[corner[3]];
}

__device__ __forceinline__ bool goes_left(const int32_t* p, const HaarNode& node, float scale) {
  float value = 0;
  for (int r = 0; r < 3; ++r) {
    if (r == 2 && node.weight[r] == 0) break;
    const float part = __fmul_rn(node.weight[r], static_cast<float>(rectangle(p, node.corner + 4 * r)));
    value = r == 0 ? part : __fadd_rn(value, part);
  }
  return __fmul_rn(value, scale) < node.threshold;
}

__device__ __forceinline__ bool passes(const LevelScan& s, const int32_t* p, float scale, int64_t stage) {
  const HaarCascade& c = s.cascade;
  double sum = 0;
  for (int64_t tree = c.stage_trees[stage]; tree < c.stage_trees[stage + 1]; ++tree) {
    const HaarNode* const nodes = s.nodes + c.tree_nodes[tree];
    int32_t at = 0;
    float leaf = 0;
    do {
      const bool left = goes_left(p, nodes[at], scale);
      leaf = left ? nodes[at].left_value : nodes[at].right_value;
      at = left ? nodes[at].left : nodes[at].right;
    } while (at != 0);
    sum += static_cast<double>(leaf);
  }
  return sum >= static_cast<double>(c.stage_threshold[stage]);
}

__device__ __forceinline__ const int32_t* sums_at(const LevelScan& s, int64_t row, int64_t column) {
  return s.tables.sums + row * s.step * s.tables.pitch + column * s.step;
}

__device__ __forceinline__ float scale_at(const LevelScan& s, int64_t row, int64_t column) {
  const int64_t right = s.cascade.window_width - 1, bottom = s.cascade.window_height - 1, pitch = s.tables.pitch;
  const int64_t at = row * s.step * pitch + column * s.step;
  const int64_t corners[4] = {pitch + 1, pitch + right, bottom * pitch + 1, bottom * pitch + right};
  const auto over = [&](const int32_t* table) {
    const int32_t* const p = table + at;
    const auto part = [&](int i) { return static_cast<uint32_t>(p[corners[i]]); };
    return part(0) - part(1) - part(2) + part(3);
  };
  return normalization(static_cast<double>((right - 1) * (bottom - 1)), static_cast<int32_t>(over(s.tables.sums)),
                       over(s.tables.squares));
}

__global__ void __launch_bounds__(kBlock) first_stages(LevelScan s) {
  grid_stride(s.rows * s.across, [&](int64_t i) {
    const int64_t row = quotient(i, s.across), column = i - row * s.across;
    const float scale = scale_at(s, row, column);
    s.windows[i] = !(scale > 0) ? kOut : passes(s, sums_at(s, row, column), scale, 0) ? kAlive : kFailed;
  });
}

__global__ void __launch_bounds__(kBlock) pass_over(LevelScan s) {
  grid_stride(s.rows, [&](int64_t row) {
    bool over = false;
    for (int64_t i = row * s.across; i < (row + 1) * s.across; ++i) {
      const uint8_t window = s.windows[i];
      const bool looked_at = !over;
      over = looked_at && window == kFailed;
      if (!looked_at) s.windows[i] = kOut;
    }
  });
}

__global__ void __launch_bounds__(kBlock) later_stages(LevelScan s) {
  grid_stride(s.rows * s.across, [&](int64_t i) {
    if (s.windows[i] != kAlive) return;
    const int64_t row = quotient(i, s.across), column = i - row * s.across;
    const float scale = scale_at(s, row, column);
    const int32_t* const p = sums_at(s, row, column);
    for (int64_t stage = 1; stage < s.cascade.stages; ++stage)
      if (!passes(s, p, scale, stage)) {
        s.windows[i] = kOut;
        return;
      }
  });
}

// Boxes of each row; in counts[rows], of them all.
__global__ void __launch_bounds__(kBlock) count_boxes(LevelScan s, int64_t* counts) {
  grid_stride(s.rows + 1, [&](int64_t row) {
    int64_t count = 0;
    for (int64_t i = row * s.across; row < s.rows && i < (row + 1) * s.across; ++i) count += s.windows[i] == kAlive;
    counts[row] = count;
  });
}

// first[rows] is how many there are; *found those of the levels before.
__global__ void __launch_bounds__(kBlock) write_boxes(LevelScan s, const int64_t* first, const int64_t* found,
                                                      int32_t* boxes, int64_t capacity, float scale) {
  const auto scaled = [scale](int64_t v) {
    return static_cast<int32_t>(::rintf(__fmul_rn(static_cast<float>(v), scale)));
  };
  grid_stride(s.rows, [&](int64_t row) {
    int64_t at = *found + first[row];
    for (int64_t column = 0; column < s.across; ++column) {
      if (s.windows[row * s.across + column] != kAlive) continue;
      if (at < capacity) {
        int32_t* const box = boxes + 4 * at;
        box[0] = scaled(column * s.step);
        box[1] = scaled(row * s.step);
        box[2] = scaled(s.cascade.window_width);
        box[3] = scaled(s.cascade.window_height);
      }
      ++at;
    }
  });
}

__global__ void add_count(int64_t* count, const int64_t* more) {
  if (threadIdx.x == 0) *count = (more == nullptr ? 0 : *count + *more);
}

}  // namespace

void cascade_scan(const CascadeScan& k) {
  const char* const name = "cascade_scan";
  const HaarCascade& c = k.cascade;
  launch(name, add_count, 1, 32, 0, k.count, nullptr);
  if (k.n_levels == 0 || c.stages == 0) return;
  int64_t widest = 0, highest = 0, most_rows = 0, most_windows = 0;
  const auto larger_of = [](int64_t a, int64_t b) { return a > b ? a : b; };
  for (int64_t i = 0; i < k.n_levels; ++i) {
    const HaarLevel& level = k.levels[i];
    const int64_t rows = haar_level_rows(level, c.window_height);
    const int64_t across = haar_windows(level.width, c.window_width, level.step);
    widest = larger_of(widest, level.width);
    highest = larger_of(highest, level.height);
    most_rows = larger_of(most_rows, rows);
    most_windows = larger_of(most_windows, rows * across);
  }
  if (most_windows == 0) return;
  const int64_t pitch = widest + 1, plane = pitch * (highest + 1);
  const StreamScratch tables(static_cast<size_t>((c.any_tilted ? 3 : 2) * plane) * sizeof(int32_t));
  const StreamScratch nodes(static_cast<size_t>(c.nodes) * sizeof(HaarNode));
  const StreamScratch pixels(static_cast<size_t>(widest * highest), 1), windows(static_cast<size_t>(most_windows), 1);
  const StreamScratch counts(static_cast<size_t>(most_rows + 1) * sizeof(int64_t));
  int32_t* const sums = tables.as<int32_t>();
  launch_over(name, prepare_nodes, c.nodes, c, nodes.as<HaarNode>(), pitch, 2 * plane);
  for (int64_t i = 0; i < k.n_levels; ++i) {
    const HaarLevel& level = k.levels[i];
    const LevelScan scan = {c,
                            {sums, sums + plane, c.any_tilted ? sums + 2 * plane : nullptr, pitch},
                            nodes.as<HaarNode>(),
                            windows.as<uint8_t>(),
                            haar_windows(level.width, c.window_width, level.step),
                            haar_level_rows(level, c.window_height),
                            level.step};
    const int64_t count = scan.rows * scan.across;
    if (count == 0) continue;
    resize(name, pixels.as<uint8_t>(), k.image, k.height, k.width, level.height, level.width);
    integrate(name, scan.tables, pixels.as<uint8_t>(), level.height, level.width);
    launch_over(name, first_stages, count, scan);
    launch_over(name, pass_over, scan.rows, scan);
    launch_over(name, later_stages, count, scan);
    launch_over(name, count_boxes, scan.rows + 1, scan, counts.as<int64_t>());
    launch(name, scan_rows<0>, 1, kBlock, 0, counts.as<int64_t>(), int64_t{1}, scan.rows + 1);
    launch_over(name, write_boxes, scan.rows, scan, counts.as<int64_t>(), k.count, k.boxes, k.capacity, k.scales[i]);
    launch(name, add_count, 1, 32, 0, k.count, counts.as<int64_t>() + scan.rows);
  }
}

}  // namespace einkorn::cuda
