#include "kernels/tree/tree_grow.h"

#include <algorithm>

#include "bind/array.h"
#include "kernels/tree/tree_grow_plan.h"

namespace einkorn::bind_tree_grow {

namespace {

void require(bool condition, const char* message) {
  if (!condition) throw py::value_error(message);
}

int code_bytes(const Array& codes) {
  if (codes.dtype != DType::uint8 && codes.dtype != DType::uint16)
    throw py::type_error("codes must be uint8 or uint16");
  return codes.dtype == DType::uint8 ? 1 : 2;
}

const void* codes_in(const Array& codes, const char* name) {
  return code_bytes(codes) == 1 ? static_cast<const void*>(codes.in<uint8_t>(name)) : codes.in<uint16_t>(name);
}

void check_indices(const int32_t* values, int64_t size, int64_t limit, const char* message) {
  if (values == nullptr) return;
  const OnHost<int32_t> index(values, size);
  bool fits = true;
  for (int64_t i = 0; i < size; ++i) fits &= (index[i] >= 0) & (index[i] < limit);
  require(fits, message);
}

// Histograms that fit the budget, at least two; no more than there can be leaves.
int64_t slots_within_budget(int64_t max_leaves, int64_t bins, bool wide) {
  const int64_t fit = kSlotBudget / (bins * (wide ? 36 : 20) + 64);
  return max_leaves < fit ? max_leaves : (fit > 2 ? fit : 2);
}

}  // namespace

EINKORN_BINDINGS(tree_grow, m) {
  m.def(
      "code_rows",
      [](const Array& by_row, const Array& codes, const Array& n_bins) {
        require(codes.ndim == 2 && by_row.ndim == 2, "codes must be [n, rows] and by_row [rows, width]");
        const int64_t n = codes.shape[0], rows = codes.shape[1], width = by_row.shape[1];
        require(by_row.shape[0] == rows && width >= n && width % 8 == 0 && by_row.dtype == codes.dtype,
                "by_row must be [rows, n rounded up to 8], of the type of codes");
        require(n_bins.size() == n, "n_bins must be [n]");
        int64_t bad = -1;
        const int bytes = code_bytes(codes);
        void* const out =
            bytes == 1 ? static_cast<void*>(by_row.out<uint8_t>("by_row")) : by_row.out<uint16_t>("by_row");
        run_in_scratch<CodeRowsParts>(
            &TreeGrowIndexKernels::code_rows,
            {out, &bad, codes_in(codes, "codes"), n_bins.in<int32_t>("n_bins"), rows, n, width, bytes, workspace()});
        return bad;
      },
      "by_row"_a, "codes"_a, "n_bins"_a);

  m.def(
      "tree_grow",
      [](const Array& feature, const Array& code, const Array& left, const Array& right, const Array& missing_left,
         const Array& categories, const Array& value, const Array& gain, const Array& cover, const Array& count,
         const Array& leaf, const Array& codes, const Array& by_row, const Array& n_bins, const Array& categorical,
         const Array& gradients, const Array& hessians, const Array& rows, const Array& features, const Array& monotone,
         const Array& groups, bool by_depth, int64_t max_depth, int64_t min_samples, double min_weight, double alpha,
         double l2, double min_gain, double step, double rate, double by_level, double by_node, uint64_t seed,
         uint64_t tree, double cat_smooth, double cat_l2, int64_t max_categories, int64_t onehot, bool wide) {
        require(codes.ndim == 2 && by_row.ndim == 2, "codes must be [n, rows] and by_row [rows, width]");
        const int64_t n = codes.shape[0], all_rows = codes.shape[1], width = by_row.shape[1];
        require(by_row.shape[0] == all_rows && width >= n && by_row.dtype == codes.dtype, "by_row must fit codes");
        require(n_bins.size() == n && categorical.size() == n, "n_bins and categorical must be [n]");
        const int64_t nodes = feature.size();
        require(nodes % 2 == 1, "node arrays have room for 2 max_leaves - 1 nodes");
        for (const Array* a : {&code, &left, &right, &missing_left, &value, &gain, &cover, &count})
          require(a->size() == nodes, "node arrays must have one size");
        require(categories.ndim == 2 && categories.shape[0] == nodes, "categories must be [nodes, words]");
        require(leaf.size() == all_rows && gradients.size() == all_rows, "leaf and gradients must be [rows]");
        require(!hessians || (hessians.size() == all_rows && hessians.dtype == gradients.dtype),
                "hessians must be as gradients are");
        const int64_t row_count = rows ? rows.size() : all_rows;
        require(row_count > 0 && all_rows < int64_t{1} << 31, "a tree grows from 1 to 2^31 - 1 rows");
        require(!monotone || monotone.size() == n, "monotone must be [n]");
        require(!groups || (groups.ndim == 2 && groups.shape[1] == (n + 31) / 32), "groups must be [groups, words]");
        require(min_samples >= 1, "min_samples must be positive");
        const int32_t* const at = rows.optional_in<int32_t>("rows");
        const int32_t* const use = features.optional_in<int32_t>("features");
        const OnHost<int32_t> in_use(use, features ? features.size() : 0),
            signs(monotone.optional_in<int32_t>("monotone"), n);
        const OnHost<uint32_t> sets(groups.optional_in<uint32_t>("groups"), groups ? groups.size() : 0);
        check_indices(at, row_count, all_rows, "rows must be rows of codes");
        check_indices(use, features ? features.size() : 0, n, "features must be rows of codes");
        require(!features || features.size() <= n, "features must be used once");
        require(!rows || row_count <= all_rows, "rows must be used once");
        const OnHost<int32_t> bin_counts(n_bins.in<int32_t>("n_bins"), n);
        const OnHost<uint8_t> marks(categorical.in<uint8_t>("categorical"), n);
        const int bytes = code_bytes(codes);
        int64_t total_bins = 0;
        for (int64_t f = 0; f < n; ++f) {
          require(bin_counts[f] >= 1 && bin_counts[f] <= (bytes == 1 ? 255 : 65535), "n_bins must fit codes");
          require(marks[f] == 0 || bin_counts[f] <= 32 * categories.shape[1],
                  "categories must have a bit for each bin");
          total_bins += bin_counts[f] + 8;
        }
        int64_t grown = 0;
        const int64_t max_leaves = (nodes + 1) / 2;
        by_dtype(gradients, [&]<class T>() {
          TreeGrow<T> args = {{&grown,
                               feature.out<int32_t>("feature"),
                               code.out<int32_t>("code"),
                               left.out<int32_t>("left"),
                               right.out<int32_t>("right"),
                               missing_left.out<uint8_t>("missing_left"),
                               categories.out<uint32_t>("categories"),
                               value.out<double>("value"),
                               gain.out<double>("gain"),
                               cover.out<double>("cover"),
                               count.out<int64_t>("count"),
                               leaf.out<int32_t>("leaf"),
                               codes_in(codes, "codes"),
                               codes_in(by_row, "by_row"),
                               bin_counts.get(),
                               marks.get(),
                               at,
                               in_use.get(),
                               signs.get(),
                               sets.get(),
                               all_rows,
                               row_count,
                               n,
                               width,
                               features ? features.size() : n,
                               categories.shape[1],
                               groups ? groups.shape[0] : 0,
                               groups ? groups.shape[1] : 0,
                               max_leaves,
                               max_depth,
                               min_samples,
                               max_categories,
                               onehot,
                               slots_within_budget(max_leaves, total_bins, wide),
                               min_weight,
                               alpha,
                               l2,
                               min_gain,
                               step,
                               rate,
                               by_level,
                               by_node,
                               cat_smooth,
                               cat_l2,
                               seed,
                               tree,
                               bytes,
                               by_depth,
                               wide,
                               workspace()},
                              gradients.in<T>("gradients"),
                              hessians.optional_in<T>("hessians")};
          run_in_scratch<GrowPlan>(&TreeGrowKernels<T>::tree_grow, args);
        });
        return grown;
      },
      "feature"_a, "code"_a, "left"_a, "right"_a, "missing_left"_a, "categories"_a, "value"_a, "gain"_a, "cover"_a,
      "count"_a, "leaf"_a, "codes"_a, "by_row"_a, "n_bins"_a, "categorical"_a, "gradients"_a, "hessians"_a.none(true),
      "rows"_a.none(true), "features"_a.none(true), "monotone"_a.none(true), "groups"_a.none(true), "by_depth"_a,
      "max_depth"_a, "min_samples"_a, "min_weight"_a, "alpha"_a, "l2"_a, "min_gain"_a, "step"_a, "rate"_a, "by_level"_a,
      "by_node"_a, "seed"_a, "tree"_a, "cat_smooth"_a, "cat_l2"_a, "max_categories"_a, "onehot"_a, "wide"_a);

  m.def(
      "tree_apply_codes",
      [](const Array& leaf, const Array& codes, const Array& feature, const Array& code, const Array& left,
         const Array& right, const Array& missing_left, const Array& categories, const Array& categorical) {
        require(codes.ndim == 2 && leaf.size() == codes.shape[1], "codes must be [n, rows] and leaf [rows]");
        const int64_t nodes = feature.size();
        for (const Array* a : {&code, &left, &right, &missing_left})
          require(a->size() == nodes, "node arrays must have one size");
        require(nodes > 0 && categories.ndim == 2 && categories.shape[0] == nodes, "categories must be [nodes, words]");
        require(categorical.size() == codes.shape[0], "categorical must be [n]");
        const int32_t* const split = feature.in<int32_t>("feature");
        const int32_t* const to_left = left.in<int32_t>("left");
        const int32_t* const to_right = right.in<int32_t>("right");
        const OnHost<int32_t> splits(split, nodes), lefts(to_left, nodes), rights(to_right, nodes);
        for (int64_t i = 0; i < nodes; ++i)  // children come after their parent, so every walk ends
          require(splits[i] < codes.shape[0] &&
                      (splits[i] < 0 || (lefts[i] > i && lefts[i] < nodes && rights[i] > i && rights[i] < nodes)),
                  "nodes must name features of codes and later nodes as children");
        run(&TreeGrowIndexKernels::tree_apply_codes,
            {leaf.out<int32_t>("leaf"), codes_in(codes, "codes"), split, code.in<int32_t>("code"), to_left, to_right,
             missing_left.in<uint8_t>("missing_left"), categories.in<uint32_t>("categories"),
             categorical.in<uint8_t>("categorical"), codes.shape[1], categories.shape[1], code_bytes(codes),
             workspace()});
      },
      "leaf"_a, "codes"_a, "feature"_a, "code"_a, "left"_a, "right"_a, "missing_left"_a, "categories"_a,
      "categorical"_a);

  m.def(
      "tree_update",
      [](const Array& scores, const Array& leaf, const Array& value) {
        require(scores.ndim == 1 && leaf.size() == scores.shape[0], "scores and leaf must be [rows]");
        uint32_t last = 0;  // what is negative counts as large
        const int32_t* const leaves = leaf.in<int32_t>("leaf");
        const OnHost<int32_t> seen(leaves, scores.shape[0]);
        for (int64_t r = 0; r < scores.shape[0]; ++r) last = std::max(last, static_cast<uint32_t>(seen[r]));
        require(scores.shape[0] == 0 || last < value.size(), "leaf must be places in value");
        by_dtype(scores, [&]<class T>() {
          run(&TreeGrowKernels<T>::tree_update, {scores.strided_out<T>("scores"), leaves, value.in<double>("value"),
                                                 scores.shape[0], scores.strides[0], workspace()});
        });
      },
      "scores"_a, "leaf"_a, "value"_a);
}

}  // namespace einkorn::bind_tree_grow
