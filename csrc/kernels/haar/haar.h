// Detection with cascades of Haar features (Viola and Jones 2001): integral images, resizing, scan, grouping, training values.
//
//   integral_image     sums[y,x] = sum of image[0:y, 0:x],  squares[y,x] = the same of image^2,
//                      tilted[y,x] = sum of image[v,u] over v < y, |u - x + 1| < y - v   (a cone upwards; Lienhart 2002)
//   resize_exact       bilinear, centres of pixels aligned, weights in 1/256, one rounding at the end:
//                      f = (i + 1/2) * in / out - 1/2,  a = floor(f),  b = round(256 (f - a))
//                      out = ((256 - b) p[a] + b p[a+1]) along both axes, (sum + 2^15) >> 16; edges repeat
//   rgb_to_gray        (9798 R + 19235 G + 3735 B + 2^14) >> 15, which is 0.299 R + 0.587 G + 0.114 B
//   cascade_scan       windows of the cascade's size on the image resized to each of `levels`
//   haar_patch_sums    sums[(y (width + 1) + x), n] = integral image of patch n;  scale[n] = its normalization, 0 when flat
//   haar_features      out[f, n] = scale[n] * sum over r of weights[f,r] * (sum of patch n over rectangle rects[f,r])
//   group_rectangles   boxes that are alike become their mean; groups of few and groups inside a stronger one go
//
//            a-------b         A rectangle's sum is a - b - c + d, whatever origin the sums count from. So a stripe of an
//            |       |         image has sums of its own, and 32 bits are enough for any image: a window has at most 2^16
//            c-------d         pixels, and its sums are right modulo 2^32.
//
// Window         normalization = (float)(1 / sqrt(area * squares - sums^2)) over the window without its outermost pixels,
//                area being theirs; a window with area * normalization >= 0.1 (standard deviation up to 10), or with no
//                variance, is flat and fails. A node goes left when value * normalization < threshold; a stage adds the
//                leaves of its trees and passes unless the sum is below its threshold. Values are float32 products and
//                sums in the order of the rectangles, stages add in float64: the arithmetic of OpenCV 4, bit by bit.
// Steps          a level's windows are `step` pixels apart, along both axes. After a window that fails the first stage the
//                next one in its row is passed over. Rows end before `rows`.
// Cascade        node n of a tree: children left[n], right[n], counted from the tree's first node, 0 meaning a leaf whose
//                value is left_value[n], right_value[n]. Children come after parents. Trees of stage s are stage_trees[s] to
//                stage_trees[s+1], nodes of tree t tree_nodes[t] to tree_nodes[t+1].
// Layout         all arrays contiguous. Rectangles are (x, y, width, height) within the window, three to a feature, weight 0
//                for the absent ones. A tilted rectangle has its topmost corner at (x, y), extends `width` down to the right
//                and `height` down to the left.
// boxes          (x, y, width, height) = round(scale * window), by level, row, column; at most `capacity` are written,
//                `count` counts all.
// Aliasing       none.       Zero sizes  no pixels, patches, boxes or windows: empty results.
// Determinism    same bits for any thread count and instruction set; integers where integers do.
// Cost           integral_image 2 additions a pixel and table; resize_exact 6 operations a pixel; cascade_scan see
//                haar_scan.cpp; haar_features 8 to 12 loads a value of 4 bytes; group_rectangles n times overlapping boxes.

#pragma once

#include "kernels/layout.h"
#include "kernels/table.h"
#include "runtime/carver.h"
#include "runtime/parallel.h"

namespace einkorn {

struct IntegralImage {
  int32_t* sums;     // [height + 1, width + 1]
  int64_t* squares;  // the same shape, or null
  int32_t* tilted;   // the same shape, or null
  const uint8_t* image;
  int64_t height, width;
  Workspace ws;
};

struct ResizeExact {
  uint8_t* out;
  const uint8_t* image;
  int64_t height, width, out_height, out_width;
  Workspace ws;  // scratch: ResizeParts
};

struct RgbToGray {
  uint8_t* out;          // [pixels]
  const uint8_t* image;  // [pixels, 3]
  int64_t pixels;
  Workspace ws;
};

struct HaarCascade {
  const int32_t* rects;    // [features, 3, 4]
  const float* weights;    // [features, 3]
  const uint8_t* tilted;   // [features]
  const int32_t* feature;  // [nodes], and the next five
  const float* threshold;
  const int32_t* left;
  const int32_t* right;
  const float* left_value;
  const float* right_value;
  const int32_t* tree_nodes;     // [trees + 1]
  const int32_t* stage_trees;    // [stages + 1]
  const float* stage_threshold;  // [stages]
  int64_t nodes, stages, window_height, window_width;
  bool any_tilted, stumps;  // stumps: every tree is one node
};

struct HaarLevel {
  int32_t height, width, step, rows;
};

struct CascadeScan {
  int32_t* boxes;  // [capacity, 4]
  int64_t* count;
  const uint8_t* image;
  const HaarLevel* levels;  // these two in the memory of the CPU on every engine: launches go by them
  const float* scales;      // [n_levels]: of boxes
  int64_t height, width, n_levels, capacity;
  HaarCascade cascade;
  Workspace ws;  // scratch: ScanParts
};

struct HaarPatchSums {
  int32_t* sums;  // [(height + 1) * (width + 1), patches]
  float* scale;   // [patches]
  const uint8_t* image;
  int64_t patches, height, width;
  Workspace ws;
};

struct HaarFeatures {
  float* out;  // [features, patches]
  const int32_t* sums;
  const float* scale;
  const int32_t* rects;
  const float* weights;
  int64_t features, patches, height, width;
  Workspace ws;
};

struct GroupRectangles {
  int32_t* out;        // [boxes, 4]: the first `count` are written
  int32_t* neighbors;  // [boxes]: how many boxes became this one
  int64_t* count;
  const int32_t* boxes;  // [n, 4]
  const int64_t* order;  // [n]: boxes by x
  int64_t n, min_neighbors;
  double eps;
  Workspace ws;  // scratch: GroupParts
};

#define EINKORN_HAAR_INDEX_KERNELS(X) \
  X(integral_image, IntegralImage)    \
  X(resize_exact, ResizeExact)        \
  X(rgb_to_gray, RgbToGray)           \
  X(cascade_scan, CascadeScan)        \
  X(haar_patch_sums, HaarPatchSums)   \
  X(haar_features, HaarFeatures)      \
  X(group_rectangles, GroupRectangles)

EINKORN_INDEX_TABLE(HaarIndexKernels, EINKORN_HAAR_INDEX_KERNELS)

// ---- scratch ----

inline namespace EINKORN_ISA {

constexpr int64_t kHaarSlack = 64;  // elements that may be read or written past a row's end

// Source column and weight of each output column.
struct ResizeColumns {
  int32_t* source;
  int32_t* weight;

  ResizeColumns(Carver& c, int64_t out_width)
      : source(c.take<int32_t>(out_width + kHaarSlack)), weight(c.take<int32_t>(out_width + kHaarSlack)) {}
};

struct ResizeSizes {
  int64_t width, out_width;
};

// What resizing needs for each thread.
struct ResizeRows {
  int32_t* pairs;   // a row blended from two, as overlapping pairs of 16-bit numbers
  uint8_t* pixels;  // of the output, written in whole vectors

  ResizeRows(Carver& c, const ResizeSizes& s)
      : pairs(c.take<int32_t>(s.width + kHaarSlack)), pixels(c.take<uint8_t>(s.out_width + 2 * kHaarSlack)) {}
};

struct ResizeParts {
  ResizeColumns columns;
  PartsOfEach<ResizeRows, ResizeSizes> rows;

  ResizeParts(Carver& c, const ResizeExact& k)
      : columns(c, k.out_width), rows(c.each<ResizeRows>(k.ws.threads, ResizeSizes{k.width, k.out_width})) {}
};

inline int64_t haar_windows(int64_t size, int64_t window, int64_t step) {
  return size < window ? 0 : (size - window) / step + 1;
}

// Rows of windows of a level.
inline int64_t haar_level_rows(const HaarLevel& level, int64_t window_height) {
  const int64_t end = level.height - window_height + 1 < level.rows ? level.height - window_height + 1 : level.rows;
  return end <= 0 ? 0 : (end + level.step - 1) / level.step;
}

// Words of a mask of windows; one more, so that any 64 of them can be read at once.
inline int64_t haar_row_words(int64_t windows) {
  return (windows + 63) / 64 + 1;
}

// How cascade_scan cuts levels into stripes.
struct HaarPlan {
  int64_t width, widest;  // of the image and of the levels
  int64_t stride;         // of a row of sums, in elements, for all levels
  int64_t half;           // where a row's odd columns begin, at a step of 2
  int64_t stripe_rows;    // rows of sums that a stripe has room for
  int64_t plane, tables;  // elements of a table of sums; sums, squares and perhaps tilted
  int64_t tasks, words;   // stripes of all levels; words of the masks of accepted windows
};

constexpr int64_t kHaarStripeBytes = 512 * 1024;  // sums of a stripe: half of an L2 cache

inline int64_t haar_stripe_windows(const HaarPlan& plan, const HaarLevel& level, int64_t window_height) {
  return (plan.stripe_rows - 1 - window_height) / level.step + 1;
}

inline HaarPlan haar_plan(const CascadeScan& k) {
  const HaarCascade& c = k.cascade;
  HaarPlan plan = {};
  plan.width = k.width;
  for (int64_t i = 0; i < k.n_levels; ++i)
    plan.widest = k.levels[i].width > plan.widest ? k.levels[i].width : plan.widest;
  // An odd number of cache lines: the rows of a column then fall on different sets of the cache.
  plan.stride = ((plan.widest + 3 * kHaarSlack) / 16 | 1) * 16;
  plan.half = plan.stride / 32 * 16;
  plan.tables = c.any_tilted ? 3 : 2;
  const int64_t fitting = kHaarStripeBytes / (4 * plan.tables * plan.stride);
  plan.stripe_rows = fitting > 2 * c.window_height + 2 ? fitting : 2 * c.window_height + 2;
  plan.plane = plan.stripe_rows * plan.stride + kHaarSlack;
  for (int64_t i = 0; i < k.n_levels; ++i) {
    const int64_t rows = haar_level_rows(k.levels[i], c.window_height);
    const int64_t across = haar_windows(k.levels[i].width, c.window_width, k.levels[i].step);
    if (across == 0) continue;
    const int64_t stripe = haar_stripe_windows(plan, k.levels[i], c.window_height);
    plan.tasks += (rows + stripe - 1) / stripe;
    plan.words += rows * haar_row_words(across);
  }
  return plan;
}

// Nodes, stages and tasks as the scan reads them.

// A node with its feature's corners as distances from the window's first element; a rectangle is a - b - c + d.
struct HaarNode {
  int32_t corner[12];
  float weight[3];
  float threshold, left_value, right_value;
  int16_t left, right;  // within the tree, 0: a leaf
  int32_t tree_nodes;   // of a tree's first node
};

struct HaarStage {
  int32_t first_node, trees;
  float threshold;
  float sure_below, sure_from;  // float32 sums outside of [below, from) need no second look
};

struct HaarTask {
  int64_t level, first_row, rows;  // of windows
  int64_t mask;                    // the first word
};

// What a thread needs for a stripe.
struct HaarStripe {
  int32_t* sums;  // [tables, plane]
  ResizeRows resized;
  float* scale;
  uint64_t* alive;
  int32_t* cones[3];       // rows of tilted sums that take turns
  uint8_t* pixels_before;  // the row of pixels above

  HaarStripe(Carver& c, const HaarPlan& plan)
      : sums(c.take<int32_t>(plan.tables * plan.plane)),
        resized(c, {plan.width, plan.widest}),
        scale(c.take<float>(plan.widest + 2 * kHaarSlack)),
        alive(c.take<uint64_t>(haar_row_words(plan.widest))) {
    const bool tilted = plan.tables == 3;
    for (int32_t*& cone : cones) cone = c.take<int32_t>(tilted ? plan.widest + 1 : 0);
    pixels_before = c.take<uint8_t>(tilted ? plan.widest : 0);
  }
};

struct ScanParts {
  HaarTask* tasks;
  uint64_t* masks;
  HaarNode* nodes[2];  // for steps of 1 and 2
  HaarStage* stages;
  PartsOfEach<ResizeColumns, int64_t> columns;  // of levels
  PartsOfEach<HaarStripe, HaarPlan> stripes;    // of threads

  ScanParts(Carver& c, const CascadeScan& k) {
    const HaarPlan plan = haar_plan(k);
    tasks = c.take<HaarTask>(plan.tasks);
    masks = c.take<uint64_t>(plan.words);
    for (HaarNode*& n : nodes) n = c.take<HaarNode>(k.cascade.nodes);
    stages = c.take<HaarStage>(k.cascade.stages);
    columns = c.each<ResizeColumns>(k.n_levels, plan.widest);
    stripes = c.each<HaarStripe>(k.ws.threads, plan);
  }
};

struct BoxGroup {
  int64_t x, y, width, height;  // sums, later means
  int64_t boxes;
};

struct GroupParts {
  int32_t* parent;
  int32_t* label;
  BoxGroup* groups;

  GroupParts(Carver& c, const GroupRectangles& k)
      : parent(c.take<int32_t>(k.n)), label(c.take<int32_t>(k.n)), groups(c.take<BoxGroup>(k.n)) {}
};

}  // namespace EINKORN_ISA
}  // namespace einkorn
