#include "kernels/tree/tree_shap.h"

#include <vector>

#include "bind/array.h"

namespace einkorn::bind_tree_shap {

namespace {

void require(bool holds, const char* what) {
  if (!holds) throw py::value_error(what);
}

// What the kernel follows without looking: forwards, within the tree, no deeper than its scratch.
void check_nodes(const Array& offsets, const Array& outputs_of, const Array& feature, const Array& left,
                 const Array& right, const Array& category_offset, const Array& category_words, int64_t sets,
                 int64_t features, int64_t outputs, int64_t width, int64_t largest, int64_t deepest) {
  const int64_t trees = outputs_of.size(), nodes = feature.size();
  const OnHost<int64_t> starts(offsets.in<int64_t>("offsets"), trees + 1);
  const OnHost<int32_t> split(feature.in<int32_t>("feature"), nodes), lefts(left.in<int32_t>("left"), nodes),
      rights(right.in<int32_t>("right"), nodes), set(category_offset.in<int32_t>("category_offset"), nodes),
      words(category_words.in<int32_t>("category_words"), nodes), to(outputs_of.in<int32_t>("outputs_of"), trees);
  require(starts[0] == 0 && starts[trees] == nodes, "offsets must rise from 0 to the number of nodes");
  std::vector<int64_t> depths;
  for (int64_t t = 0; t < trees; ++t) {
    const int64_t first = starts[t], size = starts[t + 1] - first;
    require(size >= 1 && first + size <= nodes, "offsets must rise from 0 to the number of nodes");
    require(size <= largest, "a tree has more nodes than largest");
    require(to[t] < outputs && (to[t] >= 0 || width == outputs), "outputs_of must be outputs, or -1 for all");
    depths.assign(static_cast<size_t>(size), -1);
    depths[0] = 0;
    for (int64_t i = 0; i < size; ++i) {
      const int64_t n = first + i, depth = depths[static_cast<size_t>(i)];
      require(depth >= 0, "each node must be reached once, from one before it");
      if (split[n] < 0) continue;
      require(split[n] < features, "feature must be columns of x");
      require(depth < deepest, "a tree has more splits on a way than deepest");
      if (set[n] >= 0) require(words[n] >= 0 && set[n] + int64_t{words[n]} <= sets, "sets must lie within categories");
      for (const int64_t child : {int64_t{lefts[n]}, int64_t{rights[n]}}) {
        require(child > i && child < size && depths[static_cast<size_t>(child)] < 0,
                "each node must be reached once, from one before it");
        depths[static_cast<size_t>(child)] = depth + 1;
      }
    }
  }
}

}  // namespace

EINKORN_BINDINGS(tree_shap, m) {
  m.def(
      "tree_shap",
      [](const Array& out, const Array& x, const Array& expected, const Array& offsets, const Array& outputs_of,
         const Array& feature, const Array& threshold, const Array& left, const Array& right, const Array& missing_left,
         const Array& category_offset, const Array& category_words, const Array& categories, const Array& value,
         const Array& share, const Array& points, int64_t largest, int64_t deepest) {
        if (x.ndim != 2 || value.ndim != 2 || points.ndim != 3)
          throw py::value_error("x must be [rows, features], value [nodes, width], points [most, most, 2]");
        const int64_t nodes = feature.size();
        for (const Array* a : {&threshold, &left, &right, &missing_left, &category_offset, &category_words, &share})
          if (a->size() != nodes) throw py::value_error("the arrays of nodes must have one length");
        if (value.shape[0] != nodes || offsets.size() != outputs_of.size() + 1)
          throw py::value_error("value must be [nodes, width], offsets [trees + 1]");
        if (value.shape[1] != 1 && value.shape[1] != expected.size())
          throw py::value_error("value must have a column, or one an output");
        if (largest < 0 || largest > nodes || deepest < 0 || deepest > nodes)
          throw py::value_error("largest and deepest must be at most the number of nodes");
        if (points.shape[0] != points.shape[1] || points.shape[2] != 2)
          throw py::value_error("points must be [most, most, 2]");
        if (out.size() != x.shape[0] * (x.shape[1] + 1) * expected.size())
          throw py::value_error("out must be [rows, features + 1, outputs]");
        if (deepest > 0 && points.shape[0] == 0) throw py::value_error("points must not be empty");
        check_nodes(offsets, outputs_of, feature, left, right, category_offset, category_words, categories.size(),
                    x.shape[1], expected.size(), value.shape[1], largest, deepest);
        if (x.shape[0] == 0) return;
        by_dtype(x, [&]<class T>() {
          run_in_scratch<TreeShapParts<T>>(&TreeShapKernels<T>::tree_shap,
                                           {out.out<double>("out"),
                                            x.in<T>("x"),
                                            expected.in<double>("expected"),
                                            offsets.in<int64_t>("offsets"),
                                            outputs_of.in<int32_t>("outputs_of"),
                                            feature.in<int32_t>("feature"),
                                            threshold.in<double>("threshold"),
                                            left.in<int32_t>("left"),
                                            right.in<int32_t>("right"),
                                            missing_left.in<uint8_t>("missing_left"),
                                            category_offset.in<int32_t>("category_offset"),
                                            category_words.in<int32_t>("category_words"),
                                            categories.in<uint32_t>("categories"),
                                            value.in<double>("value"),
                                            share.in<double>("share"),
                                            points.in<double>("points"),
                                            x.shape[0],
                                            x.shape[1],
                                            expected.size(),
                                            value.shape[1],
                                            outputs_of.size(),
                                            points.shape[0],
                                            largest,
                                            deepest,
                                            workspace()});
        });
      },
      "out"_a, "x"_a, "expected"_a, "offsets"_a, "outputs_of"_a, "feature"_a, "threshold"_a, "left"_a, "right"_a,
      "missing_left"_a, "category_offset"_a, "category_words"_a, "categories"_a, "value"_a, "share"_a, "points"_a,
      "largest"_a, "deepest"_a);
}

}  // namespace einkorn::bind_tree_shap
