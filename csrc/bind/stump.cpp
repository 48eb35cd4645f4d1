#include "kernels/stump/stump.h"

#include <algorithm>

#include "bind/array.h"

namespace einkorn::bind_stump {

namespace {

void require(bool holds, const char* what) {
  if (!holds) throw py::value_error(what);
}

StumpCriterion criterion_from(int code) {
  require(code >= 0 && code <= 2, "criterion is 0 (gini), 1 (entropy) or 2 (error)");
  return static_cast<StumpCriterion>(code);
}

void check_search(const Array& place, const Array& sums, const Array& weights, const Array& target, int64_t rows,
                  int64_t classes) {
  require(classes >= 2 && classes < (int64_t{1} << 24), "classes must be at least 2");
  require(place && place.size() == 3, "place must be int64 [3]");
  require(sums && sums.size() == 2 * classes, "sums must be float64 [2, classes]");
  require(weights && weights.size() == rows, "weights must be float32 [rows]");
  require(classes == 2 || (target && target.size() == rows), "target must be int32 [rows]");
  if (classes == 2) return;
  const OnHost<int32_t> of(target.in<int32_t>("target"), rows);
  for (int64_t i = 0; i < rows; ++i) require(of[i] >= 0 && of[i] < classes, "target must hold classes");
}

void stump_search(const Array& place, const Array& sums, const Array& order, const Array& missing, const Array& weights,
                  const Array& target, int64_t classes, int criterion) {
  require(order.ndim == 2, "order must be int32 [features, rows]");
  const int64_t features = order.shape[0], rows = order.shape[1];
  check_search(place, sums, weights, target, rows, classes);
  require(missing && missing.size() == features, "missing must be int64 [features]");
  const OnHost<int64_t> absent(missing.in<int64_t>("missing"), features);
  for (int64_t f = 0; f < features; ++f) require(absent[f] >= 0 && absent[f] <= rows, "missing must be at most rows");
  const int32_t* entries = order.in<int32_t>("order");
  const OnHost<int32_t> seen(entries, features * rows);
  uint32_t last = 0;
  for (int64_t i = 0; i < features * rows; ++i) last = std::max(last, static_cast<uint32_t>(seen[i] & INT32_MAX));
  require(rows == 0 || last < rows, "order must hold rows");
  run_in_scratch<StumpParts>(
      &StumpIndexKernels::stump_search,
      {place.out<int64_t>("place"), sums.out<double>("sums"), entries, missing.in<int64_t>("missing"),
       weights.in<float>("weights"), target.optional_in<int32_t>("target"), rows, features, classes,
       criterion_from(criterion), workspace()});
}

void stump_search_binned(const Array& place, const Array& sums, const Array& codes, const Array& bins,
                         int64_t missing_code, const Array& weights, const Array& target, int64_t classes,
                         int criterion) {
  require(codes.ndim == 2, "codes must be [features, rows]");
  const int64_t features = codes.shape[0], rows = codes.shape[1];
  check_search(place, sums, weights, target, rows, classes);
  require(bins && bins.size() == features, "bins must be int32 [features]");
  require(codes.dtype == DType::uint8 || codes.dtype == DType::uint16, "codes must be uint8 or uint16");
  const int code_bytes = codes.dtype == DType::uint8 ? 1 : 2;
  const int64_t limit = code_bytes == 1 ? 256 : 65536;
  require(missing_code >= 0 && missing_code < limit, "missing_code must be a code");
  const OnHost<int32_t> counts(bins.in<int32_t>("bins"), features);
  int64_t most_bins = 0;
  for (int64_t f = 0; f < features; ++f) {
    require(counts[f] >= 0 && counts[f] <= limit, "bins must lie within the codes");
    most_bins = std::max(most_bins, int64_t{counts[f]});
  }
  const void* data = code_bytes == 1 ? static_cast<const void*>(codes.in<uint8_t>("codes"))
                                     : static_cast<const void*>(codes.in<uint16_t>("codes"));
  run_in_scratch<BinnedStumpParts>(
      &StumpIndexKernels::stump_search_binned,
      {place.out<int64_t>("place"), sums.out<double>("sums"), data, bins.in<int32_t>("bins"),
       weights.in<float>("weights"), target.optional_in<int32_t>("target"), rows, features, classes, missing_code,
       most_bins, code_bytes, criterion_from(criterion), workspace()});
}

}  // namespace

EINKORN_BINDINGS(stump, m) {
  m.def(
      "presort",
      [](const Array& order, const Array& columns, const Array& missing, const Array& x) {
        require(x.ndim == 2, "x must be [rows, features]");
        const int64_t rows = x.shape[0], features = x.shape[1];
        require(rows <= INT32_MAX, "order holds at most 2^31 - 1 rows");
        require(order && order.size() == rows * features, "order must be int32 [features, rows]");
        require(columns && columns.size() == rows * features, "columns must be [features, rows]");
        require(missing && missing.size() == features, "missing must be int64 [features]");
        by_dtype(x, [&]<class T>() {
          run_in_scratch<PresortParts<T>>(
              &StumpKernels<T>::presort,
              {order.out<int32_t>("order"), columns.out<T>("columns"), missing.out<int64_t>("missing"),
               x.strided<T>("x"), rows, features, x.strides[0], x.strides[1], workspace()});
        });
      },
      "order"_a, "columns"_a, "missing"_a, "x"_a);

  m.def("stump_search", &stump_search, "place"_a, "sums"_a, "order"_a, "missing"_a, "weights"_a, "target"_a.none(true),
        "classes"_a, "criterion"_a);

  m.def("stump_search_binned", &stump_search_binned, "place"_a, "sums"_a, "codes"_a, "bins"_a, "missing_code"_a,
        "weights"_a, "target"_a.none(true), "classes"_a, "criterion"_a);

  m.def(
      "adaboost_update",
      [](const Array& stats, const Array& weights, const Array& signed_weights, const Array& target, const Array& x,
         const Array& predicted, double threshold, bool missing_left, int left, int right, int64_t classes,
         double learning_rate, int64_t source, double source_factor, double error_floor) {
        const int64_t rows = weights.size();
        require(stats && stats.size() == 4, "stats must be float64 [4]");
        require(weights && signed_weights && signed_weights.size() == rows, "signed_weights must be float32 [rows]");
        require(target && target.size() == rows, "target must be int32 [rows]");
        require(x ? x.ndim == 1 && x.size() == rows : predicted && predicted.size() == rows,
                "x or predicted must have an element for each row");
        require(classes >= 2, "classes must be at least 2");
        const auto update = [&]<class T>() {
          run_in_scratch<AdaBoostParts>(
              &StumpKernels<T>::adaboost_update,
              {stats.out<double>("stats"), weights.out<double>("weights"), signed_weights.out<float>("signed_weights"),
               target.in<int32_t>("target"), x.optional_strided<T>("x"), predicted.optional_in<int32_t>("predicted"),
               rows, x ? x.strides[0] : 0, threshold, missing_left, left, right, classes, learning_rate, source,
               source_factor, error_floor, workspace()});
        };
        if (x)
          by_dtype(x, update);
        else
          update.template operator()<double>();
      },
      "stats"_a, "weights"_a, "signed_weights"_a, "target"_a, "x"_a.none(true), "predicted"_a.none(true), "threshold"_a,
      "missing_left"_a, "left"_a, "right"_a, "classes"_a, "learning_rate"_a, "source"_a, "source_factor"_a,
      "error_floor"_a);
}

}  // namespace einkorn::bind_stump
