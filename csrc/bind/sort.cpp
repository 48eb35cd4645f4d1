#include "kernels/sort.h"

#include "bind/array.h"

namespace einkorn::bind_sort {

namespace {

void check(const Array& x, const Array& values, const Array& index, int64_t k) {
  if (x.ndim != 2) throw py::value_error("x must be 2-d, [rows, n]");
  if (x.shape[1] >= (int64_t{1} << 31)) throw py::value_error("rows must have fewer than 2^31 numbers");
  if (k < 0 || k > x.shape[1]) throw py::value_error("k must be between 0 and the numbers of a row");
  if (values.size() != x.shape[0] * k || index.size() != values.size())
    throw py::value_error("values and index must have one number for each place of the result");
}

}  // namespace

EINKORN_BINDINGS(sort, m) {
  m.def(
      "sort",
      [](const Array& values, const Array& index, const Array& x, bool descending) {
        check(x, values, index, x.ndim == 2 ? x.shape[1] : 0);
        by_dtype(x, [&]<class T>() {
          run_in_scratch<SortParts<T>>(&SortKernels<T>::sort,
                                       {values.out<T>("values"), index.out<int64_t>("index"), x.in<T>("x"), x.shape[0],
                                        x.shape[1], descending, workspace()});
        });
      },
      "values"_a, "index"_a, "x"_a, "descending"_a);

  m.def(
      "topk",
      [](const Array& values, const Array& index, const Array& x, int64_t k, bool largest) {
        check(x, values, index, k);
        by_dtype(x, [&]<class T>() {
          run_in_scratch<SortParts<T>>(&SortKernels<T>::topk,
                                       {values.out<T>("values"), index.out<int64_t>("index"), x.in<T>("x"), x.shape[0],
                                        x.shape[1], k, largest, workspace()});
        });
      },
      "values"_a, "index"_a, "x"_a, "k"_a, "largest"_a);

  m.def(
      "search_sorted",
      [](const Array& out, const Array& sorted, const Array& values, bool right) {
        if (sorted.ndim != 2 || values.ndim != 2 || out.size() != values.size() ||
            (sorted.shape[0] != 1 && sorted.shape[0] != values.shape[0]))
          throw py::value_error("search_sorted: sorted must be [1 or rows, n], values and out [rows, m]");
        by_dtype(values, [&]<class T>() {
          run(&SortKernels<T>::search_sorted,
              {out.out<int64_t>("out"), sorted.in<T>("sorted"), values.in<T>("values"), values.shape[0],
               sorted.shape[1], values.shape[1], sorted.shape[0], right, workspace()});
        });
      },
      "out"_a, "sorted"_a, "values"_a, "right"_a);
}

}  // namespace einkorn::bind_sort
