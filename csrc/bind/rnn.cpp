#include "kernels/rnn/rnn.h"

#include "bind/array.h"

namespace einkorn {

namespace {

// The layer's type is that of its weight where that is bfloat16, else that of the results.
template <class Fn>
void by_weight(const Array& weight, const Array& out, const Fn& fn) {
  by_stored_dtype(weight.dtype == DType::uint16 ? weight : out, fn);
}

void need(bool fits, const char* what) {
  if (!fits) throw py::value_error(std::string("argument '") + what + "' does not fit the others");
}

void need_shape(const Array& a, int64_t rows, int64_t columns, const char* name) {
  need(a.ndim == 2 && a.shape[0] == rows && a.shape[1] == columns, name);
}
void need_optional(const Array& a, int64_t rows, int64_t columns, const char* name) {
  if (a) need_shape(a, rows, columns, name);
}

// The layer's sizes follow from h (h_n or gh0) and the weight; `gates` is the array of all rows.
template <class T>
RecurrentLayer<T> recurrent_layer(int64_t kinds, const Array& h, const Array& gates, const Array& h0, const Array& c0,
                                  const Array& weight, const Array& projection, const Array& bias_n,
                                  const Array& batch_sizes, bool reverse, bool relu) {
  need(h.ndim == 2 && weight.ndim == 2 && gates.ndim == 2, "gates");
  RecurrentLayer<T> l{};
  l.batch = h.shape[0], l.width = h.shape[1];
  l.units = weight.shape[0] / kinds;
  need_shape(weight, kinds * l.units, l.width, "weight");
  need(gates.shape[1] == kinds * l.units, "gates");
  need(projection || l.width == l.units, "weight");
  need_optional(projection, l.width, l.units, "projection");
  need_optional(h0, l.batch, l.width, "h0");
  need_optional(c0, l.batch, l.units, "c0");
  need(!bias_n || (bias_n.ndim == 1 && bias_n.shape[0] == l.units), "bias_n");
  l.weight = weight.in<T>("weight");
  l.projection = projection.in<T>("projection");
  l.bias_n = bias_n.in<Number<T>>("bias_n");
  l.h0 = h0.in<Number<T>>("h0");
  l.c0 = c0.in<Number<T>>("c0");
  const int64_t rows = gates.shape[0];
  if (batch_sizes) {
    l.batch_sizes = batch_sizes.in<int64_t>("batch_sizes");
    l.steps = batch_sizes.size();
    int64_t most = l.batch, total = 0;
    for (int64_t t = 0; t < l.steps; ++t) {
      need(l.batch_sizes[t] >= 0 && l.batch_sizes[t] <= most, "batch_sizes");
      total += most = l.batch_sizes[t];
    }
    need(total == rows, "batch_sizes");
  } else {
    l.steps = l.batch == 0 ? 0 : rows / l.batch;
    need(l.steps * l.batch == rows, "gates");
  }
  l.reverse = reverse, l.relu = relu;
  return l;
}

// x, W_ih and the bias, where the gates' input is made of them.
template <class T>
RecurrentInput<T> recurrent_input(const Array& gates, const Array& input, const Array& weight, const Array& bias) {
  RecurrentInput<T> made{};
  need(static_cast<bool>(input) == static_cast<bool>(weight) && (input || !bias), "input_weight");
  if (!input) return made;
  need(!std::is_same_v<T, uint16_t>, "input");
  need(input.ndim == 2 && input.shape[0] == gates.shape[0], "input");
  need_shape(weight, gates.shape[1], input.shape[1], "input_weight");
  need(!bias || (bias.ndim == 1 && bias.shape[0] == gates.shape[1]), "bias");
  made.given = true;
  made.x = input.in<T>("input");
  made.weight = weight.in<T>("input_weight");
  made.bias = bias.in<Number<T>>("bias");
  made.features = input.shape[1];
  return made;
}

template <int kGates, class T>
void run_recurrent(void (*RnnKernels<T>::*kernel)(const Recurrent<T>&), const Array& out, const Array& h_n,
                   const Array& c_n, const Array& gates, const Array& cells, const Array& hidden,
                   const RecurrentInput<T>& input, const RecurrentLayer<T>& layer) {
  const int64_t rows = gates.shape[0];
  need_shape(out, rows, layer.width, "out");
  need_optional(c_n, layer.batch, layer.units, "c_n");
  need_optional(cells, rows, layer.units, "cells");
  need_optional(hidden, rows, layer.units, "hidden");
  Recurrent<T> x{};
  x.out = out.out<Number<T>>("out");
  x.h_n = h_n.out<Number<T>>("h_n");
  x.c_n = c_n.out<Number<T>>("c_n");
  x.gates = gates.out<Number<T>>("gates");
  x.cells = cells.out<Number<T>>("cells");
  x.hidden = hidden.out<Number<T>>("hidden");
  x.input = input;
  x.layer = layer;
  x.ws = workspace();
  run_in_scratch<RecurrentParts<T, kGates>>(kernel, x);
}

template <int kGates, class T>
void run_recurrent_grad(void (*RnnKernels<T>::*kernel)(const RecurrentGrad<T>&), const Array& ggates,
                        const Array& gcells, const Array& gout, const Array& gh0, const Array& gc0, const Array& g,
                        const Array& gh_n, const Array& gc_n, const Array& out, const Array& gates, const Array& cells,
                        const RecurrentLayer<T>& layer) {
  const int64_t rows = ggates.shape[0];
  need_optional(gates, rows, kGates * layer.units, "gates");
  need_optional(gcells, rows, layer.units, "gcells");
  need_optional(gout, rows, layer.width, "gout");
  need_optional(gc0, layer.batch, layer.units, "gc0");
  need_optional(g, rows, layer.width, "g");
  need_optional(gh_n, layer.batch, layer.width, "gh_n");
  need_optional(gc_n, layer.batch, layer.units, "gc_n");
  need_optional(out, rows, layer.width, "out");
  need_optional(cells, rows, layer.units, "cells");
  need(static_cast<bool>(gout) == (layer.projection != nullptr), "gout");
  RecurrentGrad<T> x{};
  x.ggates = ggates.out<Number<T>>("ggates");
  x.gcells = gcells.out<Number<T>>("gcells");
  x.gout = gout.out<Number<T>>("gout");
  x.gh0 = gh0.out<Number<T>>("gh0");
  x.gc0 = gc0.out<Number<T>>("gc0");
  x.g = g.in<Number<T>>("g");
  x.gh_n = gh_n.in<Number<T>>("gh_n");
  x.gc_n = gc_n.in<Number<T>>("gc_n");
  x.out = out.in<Number<T>>("out");
  x.gates = gates.in<Number<T>>("gates");
  x.cells = cells.in<Number<T>>("cells");
  x.layer = layer;
  x.ws = workspace();
  run_in_scratch<RecurrentGradParts<T, kGates>>(kernel, x);
}

}  // namespace

EINKORN_BINDINGS(rnn, m) {
  m.def(
      "rnn_forward",
      [](const Array& out, const Array& h_n, const Array& gates, const Array& input, const Array& input_weight,
         const Array& bias, const Array& h0, const Array& weight, const Array& batch_sizes, bool reverse, bool relu) {
        by_weight(weight, out, [&]<class T>() {
          run_recurrent<1>(&RnnKernels<T>::rnn_forward, out, h_n, {}, gates, {}, {},
                           recurrent_input<T>(gates, input, input_weight, bias),
                           recurrent_layer<T>(1, h_n, gates, h0, {}, weight, {}, {}, batch_sizes, reverse, relu));
        });
      },
      "out"_a, "h_n"_a, "gates"_a, "input"_a.none(true), "input_weight"_a.none(true), "bias"_a.none(true),
      "h0"_a.none(true), "weight"_a, "batch_sizes"_a.none(true), "reverse"_a, "relu"_a);

  m.def(
      "rnn_backward",
      [](const Array& ggates, const Array& gh0, const Array& g, const Array& gh_n, const Array& out,
         const Array& weight, const Array& batch_sizes, bool reverse, bool relu) {
        by_weight(weight, ggates, [&]<class T>() {
          run_recurrent_grad<1>(&RnnKernels<T>::rnn_backward, ggates, {}, {}, gh0, {}, g, gh_n, {}, out, {}, {},
                                recurrent_layer<T>(1, gh0, ggates, {}, {}, weight, {}, {}, batch_sizes, reverse, relu));
        });
      },
      "ggates"_a, "gh0"_a, "g"_a.none(true), "gh_n"_a.none(true), "out"_a, "weight"_a, "batch_sizes"_a.none(true),
      "reverse"_a, "relu"_a);

  m.def(
      "lstm_forward",
      [](const Array& out, const Array& h_n, const Array& c_n, const Array& gates, const Array& cells,
         const Array& hidden, const Array& input, const Array& input_weight, const Array& bias, const Array& h0,
         const Array& c0, const Array& weight, const Array& projection, const Array& batch_sizes, bool reverse) {
        by_weight(weight, out, [&]<class T>() {
          run_recurrent<4>(
              &RnnKernels<T>::lstm_forward, out, h_n, c_n, gates, cells, hidden,
              recurrent_input<T>(gates, input, input_weight, bias),
              recurrent_layer<T>(4, h_n, gates, h0, c0, weight, projection, {}, batch_sizes, reverse, false));
        });
      },
      "out"_a, "h_n"_a, "c_n"_a, "gates"_a, "cells"_a.none(true), "hidden"_a.none(true), "input"_a.none(true),
      "input_weight"_a.none(true), "bias"_a.none(true), "h0"_a.none(true), "c0"_a.none(true), "weight"_a,
      "projection"_a.none(true), "batch_sizes"_a.none(true), "reverse"_a);

  m.def(
      "lstm_backward",
      [](const Array& ggates, const Array& gout, const Array& gh0, const Array& gc0, const Array& g, const Array& gh_n,
         const Array& gc_n, const Array& gates, const Array& cells, const Array& c0, const Array& weight,
         const Array& projection, const Array& batch_sizes, bool reverse) {
        by_weight(weight, ggates, [&]<class T>() {
          run_recurrent_grad<4>(
              &RnnKernels<T>::lstm_backward, ggates, {}, gout, gh0, gc0, g, gh_n, gc_n, {}, gates, cells,
              recurrent_layer<T>(4, gh0, ggates, {}, c0, weight, projection, {}, batch_sizes, reverse, false));
        });
      },
      "ggates"_a, "gout"_a.none(true), "gh0"_a, "gc0"_a, "g"_a.none(true), "gh_n"_a.none(true), "gc_n"_a.none(true),
      "gates"_a, "cells"_a, "c0"_a.none(true), "weight"_a, "projection"_a.none(true), "batch_sizes"_a.none(true),
      "reverse"_a);

  m.def(
      "gru_forward",
      [](const Array& out, const Array& h_n, const Array& gates, const Array& cells, const Array& input,
         const Array& input_weight, const Array& bias, const Array& h0, const Array& weight, const Array& bias_n,
         const Array& batch_sizes, bool reverse) {
        by_weight(weight, out, [&]<class T>() {
          run_recurrent<3>(&RnnKernels<T>::gru_forward, out, h_n, {}, gates, cells, {},
                           recurrent_input<T>(gates, input, input_weight, bias),
                           recurrent_layer<T>(3, h_n, gates, h0, {}, weight, {}, bias_n, batch_sizes, reverse, false));
        });
      },
      "out"_a, "h_n"_a, "gates"_a, "cells"_a.none(true), "input"_a.none(true), "input_weight"_a.none(true),
      "bias"_a.none(true), "h0"_a.none(true), "weight"_a, "bias_n"_a.none(true), "batch_sizes"_a.none(true),
      "reverse"_a);

  m.def(
      "gru_backward",
      [](const Array& ggates, const Array& gcells, const Array& gh0, const Array& g, const Array& gh_n,
         const Array& out, const Array& gates, const Array& cells, const Array& h0, const Array& weight,
         const Array& batch_sizes, bool reverse) {
        by_weight(weight, ggates, [&]<class T>() {
          run_recurrent_grad<3>(
              &RnnKernels<T>::gru_backward, ggates, gcells, {}, gh0, {}, g, gh_n, {}, out, gates, cells,
              recurrent_layer<T>(3, gh0, ggates, h0, {}, weight, {}, {}, batch_sizes, reverse, false));
        });
      },
      "ggates"_a, "gcells"_a, "gh0"_a, "g"_a.none(true), "gh_n"_a.none(true), "out"_a, "gates"_a, "cells"_a,
      "h0"_a.none(true), "weight"_a, "batch_sizes"_a.none(true), "reverse"_a);
}

}  // namespace einkorn
