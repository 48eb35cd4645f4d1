#include "kernels/histogram.h"

#include "bind/array.h"

namespace einkorn::bind_histogram {

namespace {

void require(bool condition, const char* message) {
  if (!condition) throw py::value_error(message);
}

int code_bytes(const Array& codes) {
  if (codes.dtype != DType::uint8 && codes.dtype != DType::uint16)
    throw py::type_error("codes must be uint8 or uint16");
  return codes.dtype == DType::uint8 ? 1 : 2;
}

}  // namespace

EINKORN_BINDINGS(histogram, m) {
  m.def(
      "bin_edges",
      [](const Array& edges, const Array& counts, const Array& x, const Array& rows, const Array& weight) {
        require(x.ndim == 2, "x must be [rows, n]");
        require(edges.ndim == 2 && edges.shape[0] == x.shape[1], "edges must be [n, max_bins - 1]");
        require(counts.size() == x.shape[1], "counts must be [n]");
        const int64_t row_count = rows ? rows.size() : x.shape[0];
        require(row_count < int64_t{1} << 31, "at most 2^31 - 1 rows can be sorted");
        require(!weight || weight.size() == row_count, "weight must have an element for each row");
        const int64_t* const at = rows.optional_in<int64_t>("rows");
        const OnHost<int64_t> seen(at, row_count);
        for (int64_t i = 0; at != nullptr && i < row_count; ++i)
          require(seen[i] >= 0 && seen[i] < x.shape[0], "rows must be rows of x");
        by_dtype(x, [&]<class T>() {
          run_in_scratch<BinEdgesParts<T>>(&HistogramKernels<T>::bin_edges,
                                           {edges.out<double>("edges"), counts.out<int32_t>("counts"),
                                            x.strided<T>("x"), at, weight.optional_in<double>("weight"), row_count,
                                            x.shape[1], x.strides[0], x.strides[1], edges.shape[1] + 1, workspace()});
        });
      },
      "edges"_a, "counts"_a, "x"_a, "rows"_a.none(true), "weight"_a.none(true));

  m.def(
      "bin_columns",
      [](const Array& codes, const Array& x, const Array& edges, const Array& offsets, const Array& categorical,
         int missing_code) {
        require(x.ndim == 2 && codes.ndim == 2, "x must be [rows, n] and codes [n, rows]");
        const int64_t rows = x.shape[0], n = x.shape[1];
        require(codes.shape[0] == n && codes.shape[1] == rows, "codes must be [n, rows]");
        require(offsets.size() == n + 1 && categorical.size() == n, "offsets must be [n + 1], categorical [n]");
        const OnHost<int64_t> at(offsets.in<int64_t>("offsets"), n + 1);
        int64_t table_size = 0;
        for (int64_t f = 0; f < n; ++f) {
          require(at[f] >= 0 && at[f] <= at[f + 1] && at[f + 1] <= edges.size(), "offsets must ascend within edges");
          table_size += bin_table_size(at[f + 1] - at[f]);
        }
        const int bytes = code_bytes(codes);
        void* const out = bytes == 1 ? static_cast<void*>(codes.out<uint8_t>("codes")) : codes.out<uint16_t>("codes");
        by_dtype(x, [&]<class T>() {
          run_in_scratch<BinColumnsParts<T>>(
              &HistogramKernels<T>::bin_columns,
              {out, x.strided<T>("x"), edges.in<double>("edges"), offsets.in<int64_t>("offsets"),
               categorical.in<uint8_t>("categorical"), rows, n, x.strides[0], x.strides[1], bytes, missing_code,
               table_size, workspace()});
        });
      },
      "codes"_a, "x"_a, "edges"_a, "offsets"_a, "categorical"_a, "missing_code"_a);

  m.def(
      "histogram",
      [](const Array& out, const Array& codes, const Array& gradients, const Array& hessians, const Array& rows) {
        require(codes.ndim == 2 && out.ndim == 3, "codes must be [n, rows] and out [n, bins, 3]");
        require(out.shape[0] == codes.shape[0] && out.shape[2] == 3, "out must be [n, bins, 3]");
        const int64_t all_rows = codes.shape[1];
        require(gradients.size() == all_rows && (!hessians || hessians.size() == all_rows),
                "gradients and hessians must have an element for each row");
        const int64_t* const at = rows.optional_in<int64_t>("rows");
        const int64_t row_count = rows ? rows.size() : all_rows;
        const OnHost<int64_t> seen(at, row_count);
        for (int64_t i = 0; at != nullptr && i < row_count; ++i)
          require(seen[i] >= 0 && seen[i] < all_rows, "rows must be rows of codes");
        const int bytes = code_bytes(codes);
        const void* const in =
            bytes == 1 ? static_cast<const void*>(codes.in<uint8_t>("codes")) : codes.in<uint16_t>("codes");
        run_in_scratch<HistogramParts>(
            &HistogramIndexKernels::histogram,
            {out.out<double>("out"), in, gradients.in<double>("gradients"), hessians.optional_in<double>("hessians"),
             at, row_count, all_rows, out.shape[0], out.shape[1], bytes, workspace()});
      },
      "out"_a, "codes"_a, "gradients"_a, "hessians"_a.none(true), "rows"_a.none(true));

  m.def(
      "histogram_subtract",
      [](const Array& out, const Array& a, const Array& b) {
        require(a.size() == out.size() && b.size() == out.size(), "out, a and b must have one size");
        run(&HistogramIndexKernels::histogram_subtract,
            {out.out<double>("out"), a.in<double>("a"), b.in<double>("b"), out.size(), workspace()});
      },
      "out"_a, "a"_a, "b"_a);
}

}  // namespace einkorn::bind_histogram
