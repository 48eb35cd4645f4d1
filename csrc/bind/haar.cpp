#include "kernels/haar/haar.h"

#include "bind/array.h"

namespace einkorn::bind_haar {

namespace {

void require(bool condition, const char* message) {
  if (!condition) throw py::value_error(message);
}

bool has_shape(const Array& a, std::initializer_list<int64_t> shape) {
  if (!a || a.ndim != static_cast<int>(shape.size())) return false;
  int d = 0;
  for (const int64_t n : shape)
    if (a.shape[d++] != n) return false;
  return true;
}

constexpr int64_t kMaxSide = 1 << 24;  // of images: places in a stripe's sums stay below 2^31

void require_image(const Array& image) {
  require(image.ndim == 2 && image.shape[0] < kMaxSide && image.shape[1] < kMaxSide,
          "an image must be [height, width]");
}

// Rectangles lie within the window, also tilted ones, and weights are as many.
void require_rectangles(const int32_t* rects, const uint8_t* tilted, int64_t features, int64_t height, int64_t width) {
  for (int64_t i = 0; i < 3 * features; ++i) {
    const int64_t x = rects[4 * i], y = rects[4 * i + 1], w = rects[4 * i + 2], h = rects[4 * i + 3];
    const bool turned = tilted != nullptr && tilted[i / 3] != 0;
    require(x >= 0 && y >= 0 && w >= 0 && h >= 0 && x + w <= width &&
                (turned ? x - h >= 0 && y + w + h <= height : y + h <= height),
            "a rectangle leaves the window");
  }
}

// Entries are first, ..., last and grow, at least one element each.
void require_bounds(const int32_t* bounds, int64_t parts, int64_t last) {
  require(bounds[0] == 0 && bounds[parts] == last, "bounds must cover everything");
  for (int64_t i = 0; i < parts; ++i) require(bounds[i] < bounds[i + 1], "bounds must grow");
}

struct CascadeArrays {
  const Array &rects, &weights, &tilted, &feature, &threshold, &left, &right, &left_value, &right_value;
  const Array &tree_nodes, &stage_trees, &stage_threshold;
};

HaarCascade cascade_of(const CascadeArrays& a, int64_t window_height, int64_t window_width) {
  require(window_height >= 3 && window_width >= 3 && window_height * window_width <= 65536, "window out of range");
  const int64_t features = a.rects ? a.rects.shape[0] : 0, nodes = a.feature.size();
  require(
      has_shape(a.rects, {features, 3, 4}) && has_shape(a.weights, {features, 3}) && has_shape(a.tilted, {features}),
      "rects [features, 3, 4], weights [features, 3] and tilted [features] do not fit");
  for (const Array* x : {&a.feature, &a.threshold, &a.left, &a.right, &a.left_value, &a.right_value})
    require(has_shape(*x, {nodes}), "arrays of nodes must have one length");
  require(a.tree_nodes.ndim == 1 && a.stage_trees.ndim == 1 && a.tree_nodes.size() >= 1 && a.stage_trees.size() >= 1,
          "tree_nodes and stage_trees must have a bound more than parts");
  const int64_t trees = a.tree_nodes.size() - 1, stages = a.stage_trees.size() - 1;
  require(has_shape(a.stage_threshold, {stages}), "stage_threshold must have one element for each stage");

  HaarCascade c = {a.rects.in<int32_t>("rects"),
                   a.weights.in<float>("weights"),
                   a.tilted.in<uint8_t>("tilted"),
                   a.feature.in<int32_t>("feature"),
                   a.threshold.in<float>("threshold"),
                   a.left.in<int32_t>("left"),
                   a.right.in<int32_t>("right"),
                   a.left_value.in<float>("left_value"),
                   a.right_value.in<float>("right_value"),
                   a.tree_nodes.in<int32_t>("tree_nodes"),
                   a.stage_trees.in<int32_t>("stage_trees"),
                   a.stage_threshold.in<float>("stage_threshold"),
                   nodes,
                   stages,
                   window_height,
                   window_width,
                   false,
                   trees == nodes};
  const OnHost<int32_t> rects(c.rects, 12 * features), stage_trees(c.stage_trees, stages + 1),
      tree_nodes(c.tree_nodes, trees + 1), lefts(c.left, nodes), rights(c.right, nodes), feature(c.feature, nodes);
  const OnHost<uint8_t> tilted(c.tilted, features);
  require_rectangles(rects.get(), tilted.get(), features, window_height, window_width);
  require_bounds(stage_trees.get(), stages, trees);
  require_bounds(tree_nodes.get(), trees, nodes);
  for (int64_t i = 0; i < features; ++i) c.any_tilted |= tilted[i] != 0;
  for (int64_t t = 0; t < trees; ++t) {
    const int64_t size = tree_nodes[t + 1] - tree_nodes[t];
    require(size <= 1024, "a tree has too many nodes");
    for (int64_t n = 0; n < size; ++n) {
      const int64_t at = tree_nodes[t] + n, left = lefts[at], right = rights[at];
      require(feature[at] >= 0 && feature[at] < features, "feature out of range");
      require((left == 0 || (left > n && left < size)) && (right == 0 || (right > n && right < size)),
              "children must come after their parent, in its tree");
    }
  }
  return c;
}

}  // namespace

EINKORN_BINDINGS(haar, m) {
  m.def(
      "integral_image",
      [](const Array& sums, const Array& squares, const Array& tilted, const Array& image) {
        require_image(image);
        const int64_t height = image.shape[0], width = image.shape[1];
        for (const Array* table : {&sums, &squares, &tilted})
          require((table != &sums && !*table) || has_shape(*table, {height + 1, width + 1}),
                  "tables must be [height + 1, width + 1]");
        run(&HaarIndexKernels::integral_image,
            {sums.out<int32_t>("sums"), squares.optional_out<int64_t>("squares"),
             tilted.optional_out<int32_t>("tilted"), image.in<uint8_t>("image"), height, width, workspace()});
      },
      "sums"_a, "squares"_a.none(true), "tilted"_a.none(true), "image"_a);

  m.def(
      "resize_exact",
      [](const Array& out, const Array& image) {
        require_image(image);
        require_image(out);
        if (out.size() == 0) return;
        require(image.size() > 0, "an empty image cannot be resized");
        run_in_scratch<ResizeParts>(&HaarIndexKernels::resize_exact,
                                    {out.out<uint8_t>("out"), image.in<uint8_t>("image"), image.shape[0],
                                     image.shape[1], out.shape[0], out.shape[1], workspace()});
      },
      "out"_a, "image"_a);

  m.def(
      "rgb_to_gray",
      [](const Array& out, const Array& image) {
        require(out.ndim == 2 && has_shape(image, {out.shape[0], out.shape[1], 3}),
                "image must be [height, width, 3] and out [height, width]");
        run(&HaarIndexKernels::rgb_to_gray,
            {out.out<uint8_t>("out"), image.in<uint8_t>("image"), out.size(), workspace()});
      },
      "out"_a, "image"_a);

  m.def(
      "cascade_scan",
      [](const Array& boxes, const Array& count, const Array& image, const Array& levels, const Array& scales,
         const Array& rects, const Array& weights, const Array& tilted, const Array& feature, const Array& threshold,
         const Array& left, const Array& right, const Array& left_value, const Array& right_value,
         const Array& tree_nodes, const Array& stage_trees, const Array& stage_threshold, int64_t window_height,
         int64_t window_width) {
        require_image(image);
        const int64_t n_levels = scales.size();
        require(scales.ndim == 1 && has_shape(levels, {n_levels, 4}), "levels must be [n, 4] and scales [n]");
        require(boxes.ndim == 2 && boxes.shape[1] == 4 && count.size() == 1,
                "boxes must be [n, 4] and count one number");
        const HaarCascade cascade = cascade_of({rects, weights, tilted, feature, threshold, left, right, left_value,
                                                right_value, tree_nodes, stage_trees, stage_threshold},
                                               window_height, window_width);
        const auto* level = reinterpret_cast<const HaarLevel*>(levels.in<int32_t>("levels"));
        const OnHost<HaarLevel> seen(level, n_levels);
        const OnHost<float> sizes(scales.in<float>("scales"), n_levels);
        for (int64_t i = 0; i < n_levels; ++i)
          require(image.size() > 0 && seen[i].height > 0 && seen[i].width > 0 && seen[i].height <= image.shape[0] &&
                      seen[i].width <= image.shape[1] && (seen[i].step == 1 || seen[i].step == 2),
                  "levels must not be larger than the image, at a step of 1 or 2");
        const CascadeScan args = {boxes.out<int32_t>("boxes"),
                                  count.out<int64_t>("count"),
                                  image.in<uint8_t>("image"),
                                  seen.get(),
                                  sizes.get(),
                                  image.shape[0],
                                  image.shape[1],
                                  n_levels,
                                  boxes.shape[0],
                                  cascade,
                                  workspace()};
        const HaarPlan plan = haar_plan(args);
        require(plan.tables * plan.plane < int64_t{1} << 31, "the image is too wide");
        run_in_scratch<ScanParts>(&HaarIndexKernels::cascade_scan, args);
      },
      "boxes"_a, "count"_a, "image"_a, "levels"_a, "scales"_a, "rects"_a, "weights"_a, "tilted"_a, "feature"_a,
      "threshold"_a, "left"_a, "right"_a, "left_value"_a, "right_value"_a, "tree_nodes"_a, "stage_trees"_a,
      "stage_threshold"_a, "window_height"_a, "window_width"_a);

  m.def(
      "haar_patch_sums",
      [](const Array& sums, const Array& scale, const Array& image) {
        require(image.ndim == 3, "patches must be [n, height, width]");
        const int64_t patches = image.shape[0], height = image.shape[1], width = image.shape[2];
        require(height >= 3 && width >= 3 && height * width <= 65536, "window out of range");
        require(has_shape(sums, {(height + 1) * (width + 1), patches}) && has_shape(scale, {patches}),
                "sums must be [cells, n] and scale [n]");
        run(&HaarIndexKernels::haar_patch_sums, {sums.out<int32_t>("sums"), scale.out<float>("scale"),
                                                 image.in<uint8_t>("image"), patches, height, width, workspace()});
      },
      "sums"_a, "scale"_a, "image"_a);

  m.def(
      "haar_features",
      [](const Array& out, const Array& sums, const Array& scale, const Array& rects, const Array& weights,
         int64_t height, int64_t width) {
        require(height >= 3 && width >= 3 && height * width <= 65536, "window out of range");
        const int64_t features = rects ? rects.shape[0] : 0, patches = scale.size();
        require(has_shape(rects, {features, 3, 4}) && has_shape(weights, {features, 3}),
                "rects must be [features, 3, 4] and weights [features, 3]");
        require(has_shape(sums, {(height + 1) * (width + 1), patches}) && has_shape(out, {features, patches}),
                "sums must be [cells, n] and out [features, n]");
        const int32_t* r = rects.in<int32_t>("rects");
        require_rectangles(OnHost<int32_t>(r, 12 * features).get(), nullptr, features, height, width);
        run(&HaarIndexKernels::haar_features,
            {out.out<float>("out"), sums.in<int32_t>("sums"), scale.in<float>("scale"), r, weights.in<float>("weights"),
             features, patches, height, width, workspace()});
      },
      "out"_a, "sums"_a, "scale"_a, "rects"_a, "weights"_a, "height"_a, "width"_a);

  m.def(
      "group_rectangles",
      [](const Array& out, const Array& neighbors, const Array& count, const Array& boxes, const Array& order,
         int64_t min_neighbors, double eps) {
        const int64_t n = order.size();
        require(n < int64_t{1} << 31 && has_shape(boxes, {n, 4}) && has_shape(out, {n, 4}) &&
                    has_shape(neighbors, {n}) && count.size() == 1,
                "boxes and out must be [n, 4], neighbors and order [n], count one number");
        const int64_t* by_x = order.in<int64_t>("order");
        const OnHost<int64_t> numbers(by_x, n);
        for (int64_t i = 0; i < n; ++i) require(numbers[i] >= 0 && numbers[i] < n, "order out of range");
        run_in_scratch<GroupParts>(
            &HaarIndexKernels::group_rectangles,
            {out.out<int32_t>("out"), neighbors.out<int32_t>("neighbors"), count.out<int64_t>("count"),
             boxes.in<int32_t>("boxes"), by_x, n, min_neighbors, eps, workspace()});
      },
      "out"_a, "neighbors"_a, "count"_a, "boxes"_a, "order"_a, "min_neighbors"_a, "eps"_a);
}

}  // namespace einkorn::bind_haar
