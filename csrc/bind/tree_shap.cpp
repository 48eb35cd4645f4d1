#include "kernels/tree/tree_shap.h"

#include "bind/array.h"

namespace einkorn::bind_tree_shap {

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
