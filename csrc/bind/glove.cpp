#include "kernels/glove.h"

#include "bind/array.h"

namespace einkorn::bind_glove {

namespace {

void require(bool holds, const char* what) {
  if (!holds) throw py::value_error(what);
}

void glove_train(const Array& table, const Array& squares, const Array& stats, const Array& row, const Array& column,
                 const Array& count, const Array& order, double count_max, double alpha, double rate) {
  require(table.ndim == 3 && table.shape[0] == 2 && table.shape[2] >= 1, "table must be float32 [2, words, width + 1]");
  require(squares.size() == table.size(), "squares must be as large as table");
  require(stats.size() >= 1, "stats must be float64 [stretches]");
  require(column.size() == row.size() && count.size() == row.size() && order.size() == row.size(),
          "row, column, count and order must have an element for each entry");
  run(&GloveIndexKernels::glove_train,
      GloveTrain{table.out<float>("table"), squares.out<float>("squares"), stats.out<double>("stats"),
                 row.in<int32_t>("row"), column.in<int32_t>("column"), count.in<float>("count"),
                 order.in<int64_t>("order"), row.size(), table.shape[1], table.shape[2] - 1, stats.size(), count_max,
                 alpha, rate, workspace()});
}

}  // namespace

EINKORN_BINDINGS(glove, m) {
  m.def("glove_train", &glove_train, "table"_a, "squares"_a, "stats"_a, "row"_a, "column"_a, "count"_a, "order"_a,
        "count_max"_a, "alpha"_a, "rate"_a);
}

}  // namespace einkorn::bind_glove
