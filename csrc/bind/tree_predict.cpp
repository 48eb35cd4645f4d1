#include "kernels/tree/tree_predict.h"

#include "bind/array.h"

namespace einkorn::bind_tree_predict {

namespace {

void require(bool good, const char* what) {
  if (!good) throw py::value_error(what);
}

// Shapes only: what the packed arrays say about one another was settled when they were packed.
template <class T>
TreePredict<T> packed_trees(const Array& x, const Array& base, const Array& used, const Array& trees,
                            const Array& nodes, const Array& node_leaf, const Array& leaf_node, const Array& leaf_value,
                            const Array& split_place, const Array& split_threshold, const Array& split_mask,
                            const Array& sets, int64_t first, int64_t last) {
  require(x.ndim == 2, "x must be [rows, features]");
  require(trees.ndim == 2 && trees.shape[1] == kTreeColumns, "trees must be [trees, 12]");
  require(nodes.ndim == 2 && nodes.shape[1] == 4, "nodes must be [nodes, 4]");
  require(node_leaf.size() == nodes.shape[0], "node_leaf must be [nodes]");
  require(leaf_value.ndim == 2 && leaf_value.shape[0] == leaf_node.size() + 64, "leaf_value must be [leaves + 64, n]");
  require(leaf_value.shape[1] == 1 || leaf_value.shape[1] == base.size(),
          "leaf_value must have a column, or one an output");
  require(split_place.size() == 2 * split_mask.size() && split_threshold.size() == split_mask.size(),
          "split_place, split_threshold and split_mask must have one length");
  require(0 <= first && first <= last && last <= trees.shape[0], "first and last must be a range of trees");
  TreePredict<T> k = {};
  k.x = x.in<T>("x");
  k.base = base.in<double>("base");
  k.used = used.in<int32_t>("used");
  const OnHost<int32_t> columns(k.used, used.size());
  for (int64_t i = 0; i < used.size(); ++i)
    require(columns[i] >= 0 && columns[i] < x.shape[1], "used must be columns of x");
  k.trees = trees.in<int32_t>("trees");
  k.nodes = nodes.in<int32_t>("nodes");
  k.node_leaf = node_leaf.in<int32_t>("node_leaf");
  k.leaf_node = leaf_node.in<int32_t>("leaf_node");
  k.leaf_value = leaf_value.in<double>("leaf_value");
  k.split_place = split_place.in<int32_t>("split_place");
  k.split_threshold = split_threshold.in<T>("split_threshold");
  k.split_mask = split_mask.in<int64_t>("split_mask");
  k.sets = sets.in<int32_t>("sets");
  k.rows = x.shape[0];
  k.features = x.shape[1];
  k.outputs = base.size();
  k.width = leaf_value.shape[1];
  k.used_features = used.size();
  k.first = first;
  k.last = last;
  return k;
}

}  // namespace

EINKORN_BINDINGS(tree_predict, m) {
  m.def(
      "tree_predict",
      [](const Array& out, const Array& leaves, const Array& x, const Array& base, const Array& used,
         const Array& trees, const Array& nodes, const Array& node_leaf, const Array& leaf_node,
         const Array& leaf_value, const Array& split_place, const Array& split_threshold, const Array& split_mask,
         const Array& sets, int64_t first, int64_t last, bool accumulate) {
        by_dtype(x, [&]<class T>() {
          TreePredict<T> k = packed_trees<T>(x, base, used, trees, nodes, node_leaf, leaf_node, leaf_value, split_place,
                                             split_threshold, split_mask, sets, first, last);
          if (out) require(out.size() == k.rows * k.outputs, "out must be [rows, outputs]");
          if (leaves) require(leaves.size() == k.rows * (last - first), "leaves must be [rows, last - first]");
          k.out = out.optional_out<double>("out");
          k.leaves = leaves.optional_out<int32_t>("leaves");
          if (k.rows == 0) return;
          k.accumulate = accumulate;
          k.ws = workspace();
          run_in_scratch<TreePredictParts<T>>(&TreePredictKernels<T>::tree_predict, k);
        });
      },
      "out"_a.none(true), "leaves"_a.none(true), "x"_a, "base"_a, "used"_a, "trees"_a, "nodes"_a, "node_leaf"_a,
      "leaf_node"_a, "leaf_value"_a, "split_place"_a, "split_threshold"_a, "split_mask"_a, "sets"_a, "first"_a,
      "last"_a, "accumulate"_a);
}

}  // namespace einkorn::bind_tree_predict
