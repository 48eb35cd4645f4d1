#include "kernels/embedding.h"

#include "bind/quick.h"

namespace einkorn::bind_embedding {

namespace {

void require_size(const Array& a, int64_t size, const char* name) {
  if (a && a.size() != size)
    throw py::value_error(std::string("argument '") + name + "' has " + std::to_string(a.size()) +
                          " elements, expected " + std::to_string(size));
}

void require_matrix(const Array& a, const char* name) {
  if (a.ndim != 2) throw py::value_error(std::string(name) + " must be [rows, width]");
}

void require_columns(const Array& a, int64_t width, const char* name) {
  if (a.shape[1] != width) throw py::value_error(std::string(name) + " must be as wide as the table");
}

// embedding(weight, index): rows of a small table; declined where a number is none of a row.
PyObject* quick_embedding(PyObject* const* operands, Py_ssize_t count) {
  Array weight, index, out;
  if (count != 2 || !view_plain(operands[0], weight) || !view_plain_index(operands[1], index)) Py_RETURN_NONE;
  if (weight.ndim != 2 || index.ndim >= kMaxDims) Py_RETURN_NONE;
  const int64_t rows = weight.shape[0], width = weight.shape[1], size = index.size();
  if (size > kMostQuick || width > kMostQuick / size) Py_RETURN_NONE;
  const int64_t* const row = static_cast<const int64_t*>(index.data);
  bool fits = true;
  for (int64_t i = 0; i < size; ++i) fits &= row[i] >= 0 && row[i] < rows;
  if (!fits) Py_RETURN_NONE;
  Array like = weight;
  like.ndim = index.ndim + 1;
  for (int d = 0; d < index.ndim; ++d) like.shape[d] = index.shape[d];
  like.shape[index.ndim] = width;
  Fresh made(like);
  if (!made.view(out)) return nullptr;
  by_dtype(weight, [&]<class T>() {
    const EmbeddingForward<T> args = {out.out<T>("out"), weight.in<T>("weight"), row, size, rows, width, workspace()};
    if (size * width <= kKeepsGil)
      launch(&EmbeddingKernels<T>::embedding_forward, args);
    else
      run(&EmbeddingKernels<T>::embedding_forward, args);
  });
  return made.hand_out();
}

BagMode mode_from(int code) {
  if (code < 0 || code > 2) throw py::value_error("mode is 0 (sum), 1 (mean) or 2 (max)");
  return static_cast<BagMode>(code);
}

}  // namespace

EINKORN_BINDINGS(embedding, m) {
  add_quick("embedding", &quick_embedding);

  m.def(
      "embedding_forward",
      [](const Array& out, const Array& weight, const Array& index) {
        require_matrix(weight, "weight");
        require_size(out, index.size() * weight.shape[1], "out");
        by_dtype(weight, [&]<class T>() {
          run(&EmbeddingKernels<T>::embedding_forward,
              {out.out<T>("out"), weight.in<T>("weight"), index.in<int64_t>("index"), index.size(), weight.shape[0],
               weight.shape[1], workspace()});
        });
      },
      "out"_a, "weight"_a, "index"_a);

  m.def(
      "embedding_backward",
      [](const Array& gweight, const Array& gather_rows, const Array& gather_count, const Array& g, const Array& index,
         const Array& bag, const Array& factor, const Array& place, int64_t rows, int64_t padding, bool by_frequency) {
        require_matrix(gweight, "gweight");
        require_matrix(g, "g");
        require_columns(g, gweight.shape[1], "g");
        if (rows < 0) throw py::value_error("rows must not be negative");
        const int64_t count = index.size(), most = count < rows ? count : rows;
        if (static_cast<bool>(gather_rows) != static_cast<bool>(gather_count))
          throw py::type_error("gather_rows and gather_count come together");
        if (gweight.shape[0] != (gather_rows ? most : rows))
          throw py::value_error("gweight has another number of rows than the table, or than may occur");
        require_size(gather_rows, most, "gather_rows");
        require_size(gather_count, 1, "gather_count");
        require_size(bag, count, "bag");
        require_size(factor, count, "factor");
        require_size(place, g.size(), "place");
        if (!bag && g.shape[0] != count) throw py::value_error("g must have a row for each index");
        by_dtype(gweight, [&]<class T>() {
          run_in_scratch<EmbeddingParts>(
              &EmbeddingKernels<T>::embedding_backward,
              EmbeddingBackward<T>{gweight.out<T>("gweight"), gather_rows.optional_out<int64_t>("gather_rows"),
                                   gather_count.optional_out<int64_t>("gather_count"), g.in<T>("g"),
                                   index.in<int64_t>("index"), bag.optional_in<int64_t>("bag"),
                                   factor.optional_in<T>("factor"), place.optional_in<int64_t>("place"), count, rows,
                                   gweight.shape[1], g.shape[0], padding, by_frequency, workspace()});
        });
      },
      "gweight"_a, "gather_rows"_a.none(true), "gather_count"_a.none(true), "g"_a, "index"_a, "bag"_a.none(true),
      "factor"_a.none(true), "place"_a.none(true), "rows"_a, "padding"_a, "by_frequency"_a);

  m.def(
      "embedding_bag_forward",
      [](const Array& out, const Array& bag_size, const Array& place, const Array& weight, const Array& index,
         const Array& offsets, const Array& factor, int64_t padding, int mode) {
        require_matrix(weight, "weight");
        require_matrix(out, "out");
        require_columns(out, weight.shape[1], "out");
        const BagMode how = mode_from(mode);
        const int64_t bags = out.shape[0];
        if (how == BagMode::max && !place) throw py::type_error("argument 'place' must be an array");
        require_size(bag_size, bags, "bag_size");
        require_size(place, out.size(), "place");
        require_size(offsets, bags + 1, "offsets");
        require_size(factor, index.size(), "factor");
        by_dtype(weight, [&]<class T>() {
          run(&EmbeddingKernels<T>::embedding_bag_forward,
              {out.out<T>("out"), bag_size.out<T>("bag_size"), place.optional_out<int64_t>("place"),
               weight.in<T>("weight"), index.in<int64_t>("index"), offsets.in<int64_t>("offsets"),
               factor.optional_in<T>("factor"), index.size(), weight.shape[0], weight.shape[1], bags, padding, how,
               workspace()});
        });
      },
      "out"_a, "bag_size"_a, "place"_a.none(true), "weight"_a, "index"_a, "offsets"_a, "factor"_a.none(true),
      "padding"_a, "mode"_a);

  m.def(
      "embedding_bag_factor_grad",
      [](const Array& gfactor, const Array& g, const Array& weight, const Array& index, const Array& bag,
         int64_t padding) {
        require_matrix(weight, "weight");
        require_matrix(g, "g");
        require_columns(g, weight.shape[1], "g");
        require_size(gfactor, index.size(), "gfactor");
        require_size(bag, index.size(), "bag");
        by_dtype(weight, [&]<class T>() {
          run(&EmbeddingKernels<T>::embedding_bag_factor_grad,
              {gfactor.out<T>("gfactor"), g.in<T>("g"), weight.in<T>("weight"), index.in<int64_t>("index"),
               bag.in<int64_t>("bag"), index.size(), weight.shape[0], weight.shape[1], g.shape[0], padding,
               workspace()});
        });
      },
      "gfactor"_a, "g"_a, "weight"_a, "index"_a, "bag"_a, "padding"_a);

  m.def(
      "embedding_renorm",
      [](const Array& weight, const Array& index, double max_norm, double p) {
        require_matrix(weight, "weight");
        by_dtype(weight, [&]<class T>() {
          run(&EmbeddingKernels<T>::embedding_renorm,
              {weight.out<T>("weight"), index.in<int64_t>("index"), index.size(), weight.shape[0], weight.shape[1],
               max_norm, p, workspace()});
        });
      },
      "weight"_a, "index"_a, "max_norm"_a, "p"_a);

  m.def(
      "embedding_put",
      [](const Array& table, const Array& values, const Array& index) {
        require_matrix(table, "table");
        require_size(values, index.size() * table.shape[1], "values");
        by_dtype(table, [&]<class T>() {
          run(&EmbeddingKernels<T>::embedding_put,
              {table.out<T>("table"), values.in<T>("values"), index.in<int64_t>("index"), index.size(), table.shape[0],
               table.shape[1], workspace()});
        });
      },
      "table"_a, "values"_a, "index"_a);
}

}  // namespace einkorn::bind_embedding
