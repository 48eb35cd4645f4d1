#include "kernels/tree/tree_forest.h"

#include "bind/array.h"

namespace einkorn::bind_tree_forest {

namespace {

void require(bool condition, const char* message) {
  if (!condition) throw py::value_error(message);
}

}  // namespace

EINKORN_BINDINGS(tree_forest, m) {
  m.def(
      "bootstrap_counts",
      [](const Array& counts, const Array& seeds, int64_t draws) {
        require(counts.ndim == 2 && seeds.ndim == 1 && seeds.shape[0] == counts.shape[0],
                "counts must be [trees, rows] and seeds [trees]");
        require(draws >= 0 && counts.shape[1] < int64_t{1} << 31, "draws must not be negative, rows below 2^31");
        require(counts.shape[1] > 0 || draws == 0, "there are no rows to draw");
        run(&TreeForestIndexKernels::bootstrap_counts, {counts.out<uint16_t>("counts"), seeds.in<int64_t>("seeds"),
                                                        counts.shape[0], counts.shape[1], draws, workspace()});
      },
      "counts"_a, "seeds"_a, "draws"_a);

  m.def(
      "grow_forest",
      [](const Array& node_count, const Array& feature, const Array& threshold, const Array& left, const Array& right,
         const Array& missing_left, const Array& value, const Array& gain, const Array& cover, const Array& count,
         const Array& codes, const Array& target, const Array& weight, const Array& counts, const Array& class_weight,
         const Array& offsets, const Array& low, const Array& high, const Array& seeds, int64_t classes, int criterion,
         bool random_thresholds, int64_t max_features, int64_t max_depth, int64_t max_leaf_nodes,
         int64_t min_samples_split, int64_t min_samples_leaf, double min_weight_leaf, double min_impurity_decrease) {
        require(codes.ndim == 2 && (codes.dtype == DType::uint8 || codes.dtype == DType::uint16),
                "codes must be uint8 or uint16 [features, rows]");
        require(feature.ndim == 2 && value.ndim == 3, "outputs must be [trees, capacity], value [trees, capacity, n]");
        const int64_t features = codes.shape[0], rows = codes.shape[1];
        const int64_t trees = feature.shape[0], capacity = feature.shape[1];
        require(rows < int64_t{1} << 31 && capacity < int64_t{1} << 31, "rows and capacity must be below 2^31");
        require(classes >= 0 && classes < 65536, "classes must be 0 (regression) to 65535");
        for (const Array* out : {&threshold, &left, &right, &missing_left, &gain, &cover, &count})
          require(out->size() == trees * capacity, "all outputs must have one shape");
        require(value.size() == trees * capacity * (classes > 0 ? classes : 1), "value has another size");
        require(node_count.size() == trees && seeds.size() == trees, "node_count and seeds must be [trees]");
        require(target && target.size() == rows, "target must be [rows]");
        require(!weight || weight.size() == rows, "weight must be [rows]");
        require(!counts || counts.size() == trees * rows, "counts must be [trees, rows]");
        require(!class_weight || class_weight.size() == trees * classes, "class_weight must be [trees, classes]");
        require(offsets.ndim == 1 && offsets.shape[0] == features + 1, "offsets must be [features + 1]");
        const OnHost<int64_t> starts(offsets.in<int64_t>("offsets"), features + 1);
        const int64_t most = codes.dtype == DType::uint8 ? 255 : 65535;
        int64_t max_bins = 1;
        require(starts[0] == 0, "offsets must begin at 0");
        for (int64_t f = 0; f < features; ++f) {
          const int64_t bins = starts[f + 1] - starts[f];
          require(bins >= 0 && bins <= most, "offsets must ascend, by at most as many bins as there are codes");
          max_bins = bins > max_bins ? bins : max_bins;
        }
        require(low.size() == starts[features] && high.size() == starts[features], "low and high must be [bins]");
        require(criterion >= 0 && criterion <= 3 && (criterion < 2) == (classes > 0),
                "criterion is 0 (gini) or 1 (entropy) with classes, 2 (squared_error) or 3 (poisson) without");
        require(max_features >= 1 && min_samples_leaf >= 1, "max_features and min_samples_leaf must be at least 1");
        require(capacity >= 1, "capacity must be at least 1");
        const GrowForest args{node_count.out<int64_t>("node_count"),
                              feature.out<int32_t>("feature"),
                              threshold.out<double>("threshold"),
                              left.out<int32_t>("left"),
                              right.out<int32_t>("right"),
                              missing_left.out<uint8_t>("missing_left"),
                              value.out<double>("value"),
                              gain.out<double>("gain"),
                              cover.out<double>("cover"),
                              count.out<int64_t>("count"),
                              codes.dtype == DType::uint8 ? static_cast<const void*>(codes.in<uint8_t>("codes"))
                                                          : codes.in<uint16_t>("codes"),
                              target.in<double>("target"),
                              weight.optional_in<double>("weight"),
                              counts.optional_in<uint16_t>("counts"),
                              class_weight.optional_in<double>("class_weight"),
                              offsets.in<int64_t>("offsets"),
                              low.in<double>("low"),
                              high.in<double>("high"),
                              seeds.in<int64_t>("seeds"),
                              trees,
                              rows,
                              features,
                              capacity,
                              classes,
                              max_bins,
                              codes.dtype == DType::uint8 ? 1 : 2,
                              static_cast<ForestCriterion>(criterion),
                              random_thresholds,
                              max_features,
                              max_depth,
                              max_leaf_nodes,
                              min_samples_split,
                              min_samples_leaf,
                              min_weight_leaf,
                              min_impurity_decrease,
                              workspace()};
        run_in_scratch<GrowForestParts>(&TreeForestIndexKernels::grow_forest, args);
      },
      "node_count"_a, "feature"_a, "threshold"_a, "left"_a, "right"_a, "missing_left"_a, "value"_a, "gain"_a, "cover"_a,
      "count"_a, "codes"_a, "target"_a, "weight"_a.none(true), "counts"_a.none(true), "class_weight"_a.none(true),
      "offsets"_a, "low"_a, "high"_a, "seeds"_a, "classes"_a, "criterion"_a, "random_thresholds"_a, "max_features"_a,
      "max_depth"_a, "max_leaf_nodes"_a, "min_samples_split"_a, "min_samples_leaf"_a, "min_weight_leaf"_a,
      "min_impurity_decrease"_a);
}

}  // namespace einkorn::bind_tree_forest
