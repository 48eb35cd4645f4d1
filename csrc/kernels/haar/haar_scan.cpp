// The scan: windows in lanes, next to each other in a row, while many of them live; then one by one.
//
//   stripe    rows of a level that one task takes: it resizes them, makes sums of its own, and scans its windows. The
//             sums (half a megabyte) never leave the L2 cache, and no task waits for another.
//   dense     normalizations and the first stage for a whole row. A corner of a rectangle is one load for a vector of
//             windows: neighbours in the table of sums (at a step of 2, even and odd columns stand apart for that).
//
//                  windows   f f f f p p f f p ...      f: fails the first stage
//                            ^   ^   ^ ^ ^   ^          after it one window is passed over; runs of f are found 64 at
//                                                       a time by the carries of an addition
//   survivors a vector is put where the first one is left, and takes the stages as long as more than kFew of its windows
//             live. What is left goes on alone: eight loads and a score of operations a node, which a core should
//             overlap better than gathers of the same loads (not tried).
//
// Stages add in float64, as the contract has it, but vectors add in float32 and know how far they may be off. Only a sum
// that near the threshold is added again.
//
// versions, 2 threads, avx512, ms: OpenCV's detectMultiScale against this kernel, both at a factor of 1.1, in turns in one
// process, medians of 6 and of 12 runs. The boxes are OpenCV's, every one.
//
//                                     frontalface_default                     frontalface_alt
//                                     375x500   715x1024   480x640            375x500   715x1024   480x640
//   OpenCV 4.14                       63.6      199        136                76.3      265        139
//   dense rows, then one by one       15.0      48.5       30.2               15.2      53.4       28.0
//
// Over thirteen images, grouping included, medians of 5: 3.6 to 4.5 times as fast with the first cascade (median 4.3), 4.4
// to 5.3 times with the second (median 4.8).

#include "kernels/haar/haar_rows.h"
#include "simd/math.h"

namespace einkorn::EINKORN_ISA {

using namespace haar;

namespace {

constexpr int kFew = 1;

using Node = HaarNode;
using Stage = HaarStage;
using Task = HaarTask;

struct Scan : ScanParts {
  const CascadeScan& k;
  HaarPlan plan;

  explicit Scan(const CascadeScan& kernel) : ScanParts(carve<ScanParts>(kernel)), k(kernel), plan(haar_plan(kernel)) {}

  SumLayout layout(int64_t step) const { return {plan.stride, plan.half, step == 2}; }
};

// ---- preparation ----

void place_corners(int32_t* corner, const int32_t* rect, bool tilted, const SumLayout& layout, int64_t plane) {
  const int64_t x = rect[0], y = rect[1], w = rect[2], h = rect[3];
  const int64_t upright[4][2] = {{x, y}, {x + w, y}, {x, y + h}, {x + w, y + h}};
  const int64_t turned[4][2] = {{x, y}, {x - h, y + h}, {x + w, y + w}, {x + w - h, y + w + h}};
  for (int i = 0; i < 4; ++i) {
    const int64_t (&at)[2] = tilted ? turned[i] : upright[i];
    corner[i] = static_cast<int32_t>(layout.place(at[0], at[1]) + (tilted ? 2 * plane : 0));
  }
}

void prepare_nodes(const Scan& scan, int64_t step) {
  const HaarCascade& c = scan.k.cascade;
  const SumLayout layout = scan.layout(step);
  const int64_t trees = c.stage_trees[c.stages];
  for (int64_t tree = 0; tree < trees; ++tree)
    for (int64_t n = c.tree_nodes[tree]; n < c.tree_nodes[tree + 1]; ++n) {
      Node& node = scan.nodes[step - 1][n];
      const int64_t feature = c.feature[n];
      for (int r = 0; r < 3; ++r) {
        place_corners(node.corner + 4 * r, c.rects + 12 * feature + 4 * r, c.tilted[feature] != 0, layout,
                      scan.plan.plane);
        node.weight[r] = c.weights[3 * feature + r];
      }
      node.threshold = c.threshold[n];
      node.left_value = c.left_value[n];
      node.right_value = c.right_value[n];
      node.left = static_cast<int16_t>(c.left[n]);
      node.right = static_cast<int16_t>(c.right[n]);
      node.tree_nodes = c.tree_nodes[tree + 1] - c.tree_nodes[tree];
    }
}

void prepare_stages(const Scan& scan) {
  const HaarCascade& c = scan.k.cascade;
  for (int64_t s = 0; s < c.stages; ++s) {
    Stage& stage = scan.stages[s];
    stage.trees = c.stage_trees[s + 1] - c.stage_trees[s];
    stage.first_node = c.tree_nodes[c.stage_trees[s]];
    stage.threshold = c.stage_threshold[s];
    double largest = 0;  // sum that is possible
    for (int64_t tree = c.stage_trees[s]; tree < c.stage_trees[s + 1]; ++tree) {
      float leaf = 0;
      for (int64_t n = c.tree_nodes[tree]; n < c.tree_nodes[tree + 1]; ++n) {
        leaf = maximum(leaf, __builtin_fabsf(c.left_value[n]));
        leaf = maximum(leaf, __builtin_fabsf(c.right_value[n]));
      }
      largest += static_cast<double>(leaf);
    }
    const double off = 0x1p-22 * (stage.trees * largest + __builtin_fabs(static_cast<double>(stage.threshold)));
    stage.sure_below = static_cast<float>(stage.threshold - off);
    stage.sure_from = static_cast<float>(stage.threshold + off);
  }
}

void cut_into_tasks(const Scan& scan) {
  const CascadeScan& k = scan.k;
  int64_t task = 0, mask = 0;
  for (int64_t i = 0; i < k.n_levels; ++i) {
    const HaarLevel& level = k.levels[i];
    const int64_t across = haar_windows(level.width, k.cascade.window_width, level.step);
    const int64_t rows = across == 0 ? 0 : haar_level_rows(level, k.cascade.window_height);
    const int64_t stripe = haar_stripe_windows(scan.plan, level, k.cascade.window_height);
    for (int64_t row = 0; row < rows; row += stripe) {
      const int64_t here = at_most(stripe, rows - row);
      scan.tasks[task++] = {i, row, here, mask};
      mask += here * haar_row_words(across);
    }
  }
}

// ---- one window ----

EINKORN_INLINE int32_t rectangle(const int32_t* p, const int32_t* corner) {
  return p[corner[0]] - p[corner[1]] - p[corner[2]] + p[corner[3]];
}

EINKORN_INLINE bool goes_left(const int32_t* p, const Node& node, float scale) {
  float value = node.weight[0] * static_cast<float>(rectangle(p, node.corner)) +
                node.weight[1] * static_cast<float>(rectangle(p, node.corner + 4));
  if (node.weight[2] != 0) value += node.weight[2] * static_cast<float>(rectangle(p, node.corner + 8));
  return value * scale < node.threshold;
}

template <bool kStumps>
EINKORN_INLINE bool passes(const int32_t* p, const Node* nodes, const Stage& stage, float scale) {
  const Node* node = nodes + stage.first_node;
  double sum = 0;
  for (int32_t tree = 0; tree < stage.trees; ++tree) {
    if constexpr (kStumps) {
      sum += static_cast<double>(goes_left(p, *node, scale) ? node->left_value : node->right_value);
      ++node;
    } else {
      int32_t at = 0;
      float leaf = 0;
      do {
        const bool left = goes_left(p, node[at], scale);
        leaf = left ? node[at].left_value : node[at].right_value;
        at = left ? node[at].left : node[at].right;
      } while (at != 0);
      sum += static_cast<double>(leaf);
      node += node->tree_nodes;
    }
  }
  return sum >= static_cast<double>(stage.threshold);
}

// ---- a vector of windows ----

EINKORN_INLINE Ints rectangles(const int32_t* p, const int32_t* corner) {
  return load(p + corner[0]) - load(p + corner[1]) - load(p + corner[2]) + load(p + corner[3]);
}

EINKORN_INLINE IntVec<float> go_left(const int32_t* p, const Node& node, Floats scale) {
  Floats value =
      node.weight[0] * to_float(rectangles(p, node.corner)) + node.weight[1] * to_float(rectangles(p, node.corner + 4));
  if (node.weight[2] != 0) value += node.weight[2] * to_float(rectangles(p, node.corner + 8));
  return value * scale < node.threshold;
}

template <bool kStumps>
EINKORN_INLINE Floats stage_sums(const int32_t* p, const Node* nodes, const Stage& stage, Floats scale) {
  const Node* node = nodes + stage.first_node;
  Floats sum = {};
  for (int32_t tree = 0; tree < stage.trees; ++tree) {
    if constexpr (kStumps) {
      sum += go_left(p, *node, scale) ? broadcast(node->left_value) : broadcast(node->right_value);
      ++node;
    } else {
      const int32_t size = node->tree_nodes;
      Ints at = {};  // the node where a window is; -1 past its leaf
      for (int32_t n = 0; n < size; ++n, ++node) {
        const Ints here = at == n;
        if (lane_bits(here) == 0) continue;
        const IntVec<float> left = go_left(p, *node, scale);
        const Ints next = left ? broadcast<int32_t>(node->left) : broadcast<int32_t>(node->right);
        const Floats leaf = left ? broadcast(node->left_value) : broadcast(node->right_value);
        sum += (here & (next == 0)) ? leaf : Floats{};
        at = here ? (next == 0 ? Ints{} - 1 : next) : at;
      }
    }
  }
  return sum;
}

// Which of the windows in `alive` pass a stage.
template <bool kStumps>
EINKORN_INLINE uint32_t passing(const int32_t* p, const float* scale, const Node* nodes, const Stage& stage,
                                uint32_t alive) {
  const Floats sum = stage_sums<kStumps>(p, nodes, stage, load(scale));
  uint32_t pass = lane_bits(sum >= stage.sure_from) & alive;
  uint32_t unsure = ~pass & lane_bits(sum >= stage.sure_below) & alive;
  for (; unsure != 0; unsure &= unsure - 1) {
    const int lane = __builtin_ctz(unsure);
    if (passes<kStumps>(p + lane, nodes, stage, scale[lane])) pass |= 1u << lane;
  }
  return pass;
}

// ---- a row of windows ----

typedef int32_t HalfInts __attribute__((vector_size(kVectorBytes / 2)));
typedef uint32_t HalfWords __attribute__((vector_size(kVectorBytes / 2)));
typedef float HalfFloats __attribute__((vector_size(kVectorBytes / 2)));

struct Normalization {
  int64_t corner[4];
  int64_t plane;
  double area;
};

Normalization normalization(const Scan& scan, const SumLayout& layout) {
  const HaarCascade& c = scan.k.cascade;
  const int64_t right = c.window_width - 1, bottom = c.window_height - 1;
  return {{layout.place(1, 1), layout.place(right, 1), layout.place(1, bottom), layout.place(right, bottom)},
          scan.plan.plane,
          static_cast<double>((right - 1) * (bottom - 1))};
}

EINKORN_INLINE HalfInts half_rectangles(const int32_t* p, const int64_t* corner) {
  HalfInts v[4];
  EINKORN_UNROLL for (int i = 0; i < 4; ++i) memcpy(&v[i], p + corner[i], sizeof v[i]);
  return v[0] - v[1] - v[2] + v[3];
}

// scale[i] of windows [0, windows), 0 where flat.
EINKORN_INLINE void normalize_row(float* scale, const int32_t* row, int64_t windows, const Normalization& by) {
  using Doubles = Vec<double>;
  const Doubles one = broadcast(1.0), area = broadcast(by.area);
  for (int64_t i = 0; i < windows; i += kLanes<double>) {
    const Doubles sum = __builtin_convertvector(half_rectangles(row + i, by.corner), Doubles);
    const HalfWords squares = (HalfWords)half_rectangles(row + by.plane + i, by.corner);
    const Doubles variance = area * __builtin_convertvector(squares, Doubles) - sum * sum;
    const Doubles inverse = one / square_root(variance > 0.0 ? variance : one);
    const HalfFloats single = __builtin_convertvector(inverse, HalfFloats);
    const Doubles back = __builtin_convertvector(single, Doubles);
    const HalfFloats kept =
        __builtin_convertvector((variance > 0.0) & (area * back < 0.1) ? back : Doubles{}, HalfFloats);
    memcpy(scale + i, &kept, sizeof kept);
  }
}

// Of 64 windows: those passed over, because the one before was looked at and is in `failed`. `carry` says whether the
// first one is, and is left for the next 64.
EINKORN_INLINE uint64_t passed_over(uint64_t failed, uint64_t& carry) {
  constexpr uint64_t kEven = 0x5555555555555555u;
  failed &= ~carry;
  const uint64_t starts = failed & ~(failed << 1) & kEven;
  const uint64_t from_even = failed & ~(failed + starts);  // runs that start there: the addition carries them away
  const uint64_t from_odd = failed & ~from_even;
  const uint64_t over = ((from_even << 1) & ~kEven) | ((from_odd << 1) & kEven) | carry;
  carry = from_odd >> 63;
  return over;
}

// Windows alive after the first stage, as bits; `alive` has a word more than needed.
template <bool kStumps>
EINKORN_INLINE void first_stage(uint64_t* alive, const int32_t* row, const float* scale, int64_t windows,
                                const Node* nodes, const Stage& stage) {
  const int64_t words = haar_row_words(windows) - 1;
  uint64_t carry = 0;
  for (int64_t w = 0; w < words; ++w) {
    uint64_t valid = 0, pass = 0;
    for (int64_t i = 64 * w; i < at_most(64 * w + 64, windows); i += kLane) {
      uint32_t here = lane_bits(load(scale + i) > 0.0f);
      if (windows - i < kLane) here &= (1u << (windows - i)) - 1u;
      if (here == 0) continue;
      valid |= static_cast<uint64_t>(here) << (i % 64);
      pass |= static_cast<uint64_t>(passing<kStumps>(row + i, scale + i, nodes, stage, here)) << (i % 64);
    }
    alive[w] = pass & ~passed_over(valid & ~pass, carry);
  }
  alive[words] = 0;
}

template <bool kStumps>
EINKORN_INLINE void later_stages(uint64_t* accepted, uint64_t* alive, const int32_t* row, const float* scale,
                                 const Node* nodes, const Stage* stages, int64_t n_stages, int64_t words) {
  constexpr uint64_t kAll = kLane == 64 ? ~uint64_t{0} : (uint64_t{1} << kLane) - 1;
  for (int64_t w = 0; w < words; ++w) {
    while (alive[w] != 0) {
      const int shift = __builtin_ctzll(alive[w]);
      const int64_t at = 64 * w + shift;
      uint64_t bits = alive[w] >> shift;
      if (shift > 64 - kLane) bits |= alive[w + 1] << (64 - shift);
      uint32_t lanes = static_cast<uint32_t>(bits & kAll);
      alive[w] &= ~(kAll << shift);
      if (shift > 64 - kLane) alive[w + 1] &= ~(kAll >> (64 - shift));

      int64_t s = 1;
      for (; s < n_stages && __builtin_popcount(lanes) > kFew; ++s)
        lanes = passing<kStumps>(row + at, scale + at, nodes, stages[s], lanes);
      for (; lanes != 0; lanes &= lanes - 1) {
        const int64_t i = at + __builtin_ctz(lanes);
        int64_t t = s;
        while (t < n_stages && passes<kStumps>(row + i, nodes, stages[t], scale[i])) ++t;
        if (t == n_stages) accepted[i / 64] |= uint64_t{1} << (i % 64);
      }
    }
  }
}

// ---- a stripe ----

// Three rows of tilted sums take turns; the finished one is copied to where the scan reads it.
void clear_cones(const HaarStripe& s, int64_t width) {
  for (int32_t* cone : s.cones) memset(cone, 0, static_cast<size_t>(width + 1) * sizeof(int32_t));
  memset(s.pixels_before, 0, static_cast<size_t>(width));
}

void add_cone(const HaarStripe& s, int32_t* table, int64_t y, int64_t width, const SumLayout& layout) {
  int32_t* t = s.cones[y % 3];
  tilted_row(t, s.cones[(y + 2) % 3], s.cones[(y + 1) % 3], s.resized.pixels, s.pixels_before, width);
  if (y == 1) t[0] = 0;
  memcpy(s.pixels_before, s.resized.pixels, static_cast<size_t>(width));
  for (int64_t x = 0; x <= width; ++x) table[layout.place(x, y)] = t[x];
}

void make_sums(const Scan& scan, const HaarStripe& s, const Task& task, const SumLayout& layout, int64_t rows) {
  const CascadeScan& k = scan.k;
  const HaarLevel& level = k.levels[task.level];
  const ResizeColumns columns = scan.columns[task.level];
  const double ratio = resize_ratio(k.height, level.height);
  int32_t* squares = s.sums + scan.plan.plane;
  int32_t* turned = squares + scan.plan.plane;
  const size_t row_bytes = static_cast<size_t>(layout.stride) * sizeof(int32_t);
  memset(s.sums, 0, row_bytes);
  memset(squares, 0, row_bytes);
  const bool tilted = k.cascade.any_tilted;
  if (tilted) {
    memset(turned, 0, row_bytes);
    clear_cones(s, level.width);
  }
  for (int64_t y = 0; y < rows; ++y) {
    resize_row(s.resized.pixels, s.resized.pairs, k.image, k.height, k.width, task.first_row * level.step + y, ratio,
               columns, level.height, level.width);
    const int64_t at = (y + 1) * layout.stride;
    sum_row(s.sums + at, squares + at, s.resized.pixels, level.width, layout);
    if (tilted) add_cone(s, turned, y + 1, level.width, layout);
  }
}

template <bool kStumps>
void scan_stripe(const Scan& scan, const HaarStripe& s, const Task& task) {
  const CascadeScan& k = scan.k;
  const HaarLevel& level = k.levels[task.level];
  const SumLayout layout = scan.layout(level.step);
  make_sums(scan, s, task, layout, (task.rows - 1) * level.step + k.cascade.window_height);

  const int64_t windows = haar_windows(level.width, k.cascade.window_width, level.step);
  const int64_t words = haar_row_words(windows);
  const Node* nodes = scan.nodes[level.step - 1];
  const Normalization by = normalization(scan, layout);
  for (int64_t r = 0; r < task.rows; ++r) {
    const int32_t* row = s.sums + r * level.step * layout.stride;
    uint64_t* accepted = scan.masks + task.mask + r * words;
    memset(accepted, 0, static_cast<size_t>(words) * sizeof(uint64_t));
    normalize_row(s.scale, row, windows, by);
    first_stage<kStumps>(s.alive, row, s.scale, windows, nodes, scan.stages[0]);
    later_stages<kStumps>(accepted, s.alive, row, s.scale, nodes, scan.stages, k.cascade.stages, words - 1);
  }
}

int64_t write_boxes(const Scan& scan) {
  const CascadeScan& k = scan.k;
  int64_t count = 0;
  for (int64_t t = 0; t < scan.plan.tasks; ++t) {
    const Task& task = scan.tasks[t];
    const HaarLevel& level = k.levels[task.level];
    const float scale = k.scales[task.level];
    const auto scaled = [scale](int64_t v) {
      return static_cast<int32_t>(__builtin_rintf(static_cast<float>(v) * scale));
    };
    const int32_t width = scaled(k.cascade.window_width), height = scaled(k.cascade.window_height);
    const int64_t words = haar_row_words(haar_windows(level.width, k.cascade.window_width, level.step));
    for (int64_t w = 0; w < task.rows * words; ++w)
      for (uint64_t bits = scan.masks[task.mask + w]; bits != 0; bits &= bits - 1, ++count) {
        if (count >= k.capacity) continue;
        int32_t* box = k.boxes + 4 * count;
        box[0] = scaled((64 * (w % words) + __builtin_ctzll(bits)) * level.step);
        box[1] = scaled((task.first_row + w / words) * level.step);
        box[2] = width;
        box[3] = height;
      }
  }
  return count;
}

}  // namespace

void cascade_scan(const CascadeScan& k) {
  const Scan scan(k);
  *k.count = 0;
  if (scan.plan.tasks == 0 || k.cascade.stages == 0) return;
  cut_into_tasks(scan);
  prepare_stages(scan);
  bool steps[2] = {false, false};
  for (int64_t i = 0; i < k.n_levels; ++i) {
    steps[k.levels[i].step - 1] = true;
    fill_columns(scan.columns[i], k.width, k.levels[i].width);
  }
  parallel_for(k.ws, 2, 20.0 * static_cast<double>(k.cascade.nodes), [&](int64_t i, int) {
    if (steps[i]) prepare_nodes(scan, i + 1);
  });
  const double cost = 50.0 * static_cast<double>(scan.plan.stripe_rows * scan.plan.stride) / 4;
  parallel_for(k.ws, scan.plan.tasks, cost, [&](int64_t t, int slot) {
    const HaarStripe stripe = scan.stripes[slot];
    if (k.cascade.stumps)
      scan_stripe<true>(scan, stripe, scan.tasks[t]);
    else
      scan_stripe<false>(scan, stripe, scan.tasks[t]);
  });
  *k.count = write_boxes(scan);
}

}  // namespace einkorn::EINKORN_ISA
