#include "bind/array.h"
#include "bind/quick.h"
#include "kernels/norm/norm_parts.h"

namespace einkorn {

namespace {

void check(bool fits, const char* what) {
  if (!fits) throw py::value_error(std::string("norm: ") + what);
}

// `a` has `size` elements; an optional one may be None.
void require(const Array& a, int64_t size, const char* name) {
  check(a && a.size() == size, (std::string(name) + " must have " + std::to_string(size) + " elements").c_str());
}
void allow(const Array& a, int64_t size, const char* name) {
  if (a) require(a, size, name);
}

Activation activation_from(int code) {
  check(code >= 0 && code <= static_cast<int>(Activation::tanh), "unknown activation");
  return static_cast<Activation>(code);
}

template <class Args>
void set_rows(Args& args, const Array& x, int64_t groups, int64_t run) {
  check(x.ndim == 2, "x must be [rows, n]");
  args.rows = x.shape[0], args.n = x.shape[1], args.groups = groups, args.run = run;
  check(groups >= 1 && args.rows % groups == 0, "rows must be a multiple of groups");
  check(run >= 1 && args.n % run == 0, "n must be a multiple of run");
}

template <class Args>
void set_channels(Args& args, const Array& x) {
  check(x.ndim == 3, "x must be [N, C, L]");
  args.batch = x.shape[0], args.channels = x.shape[1], args.length = x.shape[2];
}

// A weight or bias of n elements, or None; false where it is another thing.
bool view_weight(PyObject* object, const Array& x, int64_t n, Array& weight) {
  if (object == Py_None) return true;
  return view_plain(object, weight) && weight.dtype == x.dtype && weight.ndim == 1 && weight.shape[0] == n;
}

// row_norm(x, weight, bias, n, eps, centred, kept): a few rows of a small array with a weight an element. eps None: the spacing of
// the type's numbers at 1. kept: (result, mean or None, rstd), as the gradient reads them.
PyObject* quick_row_norm(PyObject* const* operands, Py_ssize_t count) {
  Array x, weight, bias, out, mean, rstd;
  if (count != 7 || !view_plain(operands[0], x) || x.ndim == 0 || x.size() > kMostQuick) Py_RETURN_NONE;
  if (!PyLong_CheckExact(operands[3]) || (operands[4] != Py_None && !PyFloat_CheckExact(operands[4]))) Py_RETURN_NONE;
  const int64_t n = x.shape[x.ndim - 1];
  int overflow = 0;
  if (PyLong_AsLongAndOverflow(operands[3], &overflow) != n || overflow != 0) Py_RETURN_NONE;
  if (x.size() / n > kKeepsGil) Py_RETURN_NONE;
  if (!view_weight(operands[1], x, n, weight) || !view_weight(operands[2], x, n, bias)) Py_RETURN_NONE;
  const bool centred = operands[5] == Py_True, kept = operands[6] == Py_True;
  if (centred && operands[4] == Py_None) Py_RETURN_NONE;
  Fresh made(x);
  if (!made.view(out)) return nullptr;
  Array line;
  line.dtype = DType::float64, line.ndim = 1, line.shape[0] = x.size() / n;
  double statistics[2 * kKeepsGil];
  PyObject* tuple = nullptr;
  if (kept) {
    Fresh means(line), roots(line);
    if ((centred && !means.view(mean)) || !roots.view(rstd)) return nullptr;
    tuple = PyTuple_New(3);
    if (tuple == nullptr) return nullptr;
    PyTuple_SET_ITEM(tuple, 1, centred ? means.hand_out() : Py_NewRef(Py_None));
    PyTuple_SET_ITEM(tuple, 2, roots.hand_out());
  }
  by_dtype(x, [&]<class T>() {
    RowNorm<T> args{};
    args.out = out.out<T>("out");
    args.mean = !centred ? nullptr : kept ? mean.out<double>("mean") : statistics;
    args.rstd = kept ? rstd.out<double>("rstd") : statistics + kKeepsGil;
    args.x = x.in<T>("x"), args.weight = weight.in<T>("weight"), args.bias = bias.in<T>("bias");
    args.rows = x.size() / n, args.n = n, args.groups = args.run = 1;
    args.eps = operands[4] == Py_None ? (sizeof(T) == 4 ? 0x1p-23 : 0x1p-52) : PyFloat_AS_DOUBLE(operands[4]);
    args.ws = workspace();
    run_in_scratch<RowNormParts<T>>(&NormKernels<T>::row_norm_forward, args, x.size() <= kKeepsGil);
  });
  if (tuple == nullptr) return made.hand_out();
  PyTuple_SET_ITEM(tuple, 0, made.hand_out());
  return tuple;
}

}  // namespace

EINKORN_BINDINGS(norm, m) {
  add_quick("row_norm", &quick_row_norm);

  m.def(
      "row_norm_forward",
      [](const Array& out, const Array& total, const Array& mean, const Array& rstd, const Array& x,
         const Array& residual, const Array& weight, const Array& bias, int64_t groups, int64_t run, double eps,
         int activation) {
        by_stored_dtype(x, [&]<class T>() {
          RowNorm<T> args{};
          set_rows(args, x, groups, run);
          const int64_t size = args.rows * args.n, channels = groups * (args.n / run);
          require(out, size, "out");
          require(rstd, args.rows, "rstd");
          allow(mean, args.rows, "mean");
          check(static_cast<bool>(total) == static_cast<bool>(residual), "total and residual come together");
          check(!residual || sizeof(T) > 2, "bfloat16 has no residual here");
          allow(total, size, "total");
          allow(residual, size, "residual");
          allow(weight, channels, "weight");
          allow(bias, channels, "bias");
          args.out = out.out<T>("out"), args.total = total.out<T>("total");
          args.mean = mean.out<double>("mean"), args.rstd = rstd.out<double>("rstd");
          args.x = x.in<T>("x"), args.residual = residual.in<T>("residual");
          args.weight = weight.in<Number<T>>("weight"), args.bias = bias.in<Number<T>>("bias");
          args.eps = eps, args.activation = activation_from(activation), args.ws = workspace();
          run_in_scratch<RowNormParts<T>>(&NormKernels<T>::row_norm_forward, args);
        });
      },
      "out"_a, "total"_a.none(true), "mean"_a.none(true), "rstd"_a, "x"_a, "residual"_a.none(true),
      "weight"_a.none(true), "bias"_a.none(true), "groups"_a, "run"_a, "eps"_a, "activation"_a);

  m.def(
      "row_norm_backward",
      [](const Array& gx, const Array& gweight, const Array& gbias, const Array& g, const Array& y, const Array& x,
         const Array& mean, const Array& rstd, const Array& weight, const Array& addend, int64_t groups, int64_t run,
         int activation) {
        by_stored_dtype(x, [&]<class T>() {
          RowNormGrad<T> args{};
          set_rows(args, x, groups, run);
          const int64_t size = args.rows * args.n, channels = groups * (args.n / run);
          allow(gx, size, "gx");
          allow(gweight, channels, "gweight");
          allow(gbias, channels, "gbias");
          require(g, size, "g");
          allow(mean, args.rows, "mean");
          require(rstd, args.rows, "rstd");
          allow(weight, channels, "weight");
          allow(addend, size, "addend");
          args.activation = activation_from(activation);
          check(y || args.activation == Activation::none, "y is needed where there is an activation");
          allow(y, size, "y");
          args.gx = gx.out<T>("gx"), args.gweight = gweight.out<Number<T>>("gweight"),
          args.gbias = gbias.out<Number<T>>("gbias");
          args.g = g.in<T>("g"), args.y = y.in<T>("y"), args.x = x.in<T>("x");
          args.mean = mean.in<double>("mean"), args.rstd = rstd.in<double>("rstd");
          args.weight = weight.in<Number<T>>("weight"), args.addend = addend.in<T>("addend"), args.ws = workspace();
          run_in_scratch<RowNormGradParts<T>>(&NormKernels<T>::row_norm_backward, args);
        });
      },
      "gx"_a.none(true), "gweight"_a.none(true), "gbias"_a.none(true), "g"_a, "y"_a.none(true), "x"_a,
      "mean"_a.none(true), "rstd"_a, "weight"_a.none(true), "addend"_a.none(true), "groups"_a, "run"_a, "activation"_a);

  m.def(
      "batch_norm_forward",
      [](const Array& out, const Array& mean, const Array& rstd, const Array& running_mean, const Array& running_var,
         const Array& x, const Array& residual, const Array& weight, const Array& bias, double momentum, double eps,
         bool training, int activation) {
        by_stored_dtype(x, [&]<class T>() {
          BatchNorm<T> args{};
          set_channels(args, x);
          const int64_t size = x.size(), c = args.channels;
          require(out, size, "out");
          require(mean, c, "mean");
          require(rstd, c, "rstd");
          check(training || (running_mean && running_var), "without training running statistics are needed");
          allow(running_mean, c, "running_mean");
          allow(running_var, c, "running_var");
          allow(residual, size, "residual");
          allow(weight, c, "weight");
          allow(bias, c, "bias");
          args.out = out.out<T>("out"), args.mean = mean.out<double>("mean"), args.rstd = rstd.out<double>("rstd");
          using N = Number<T>;
          args.running_mean =
              const_cast<N*>(training ? running_mean.out<N>("running_mean") : running_mean.in<N>("running_mean"));
          args.running_var =
              const_cast<N*>(training ? running_var.out<N>("running_var") : running_var.in<N>("running_var"));
          args.x = x.in<T>("x"), args.residual = residual.in<T>("residual");
          args.weight = weight.in<Number<T>>("weight"), args.bias = bias.in<Number<T>>("bias");
          args.momentum = momentum, args.eps = eps, args.training = training;
          args.activation = activation_from(activation), args.ws = workspace();
          run_in_scratch<BatchNormParts<T>>(&NormKernels<T>::batch_norm_forward, args);
        });
      },
      "out"_a, "mean"_a, "rstd"_a, "running_mean"_a.none(true), "running_var"_a.none(true), "x"_a,
      "residual"_a.none(true), "weight"_a.none(true), "bias"_a.none(true), "momentum"_a, "eps"_a, "training"_a,
      "activation"_a);

  m.def(
      "batch_norm_backward",
      [](const Array& gx, const Array& gresidual, const Array& gweight, const Array& gbias, const Array& g,
         const Array& y, const Array& x, const Array& mean, const Array& rstd, const Array& weight, bool training,
         int activation) {
        by_stored_dtype(x, [&]<class T>() {
          BatchNormGrad<T> args{};
          set_channels(args, x);
          const int64_t size = x.size(), c = args.channels;
          allow(gx, size, "gx");
          allow(gresidual, size, "gresidual");
          allow(gweight, c, "gweight");
          allow(gbias, c, "gbias");
          require(g, size, "g");
          require(mean, c, "mean");
          require(rstd, c, "rstd");
          allow(weight, c, "weight");
          args.activation = activation_from(activation);
          check(y || args.activation == Activation::none, "y is needed where there is an activation");
          allow(y, size, "y");
          args.gx = gx.out<T>("gx"), args.gresidual = gresidual.out<T>("gresidual");
          args.gweight = gweight.out<Number<T>>("gweight"), args.gbias = gbias.out<Number<T>>("gbias");
          args.g = g.in<T>("g"), args.y = y.in<T>("y"), args.x = x.in<T>("x");
          args.mean = mean.in<double>("mean"), args.rstd = rstd.in<double>("rstd");
          args.weight = weight.in<Number<T>>("weight"), args.training = training, args.ws = workspace();
          run_in_scratch<BatchNormGradParts<T>>(&NormKernels<T>::batch_norm_backward, args);
        });
      },
      "gx"_a.none(true), "gresidual"_a.none(true), "gweight"_a.none(true), "gbias"_a.none(true), "g"_a,
      "y"_a.none(true), "x"_a, "mean"_a, "rstd"_a, "weight"_a.none(true), "training"_a, "activation"_a);

  m.def(
      "local_response_norm_forward",
      [](const Array& out, const Array& scale, const Array& x, int64_t size, double alpha, double beta, double k) {
        by_dtype(x, [&]<class T>() {
          LocalResponseNorm<T> args{};
          set_channels(args, x);
          check(size >= 1, "size must be positive");
          require(out, x.size(), "out");
          allow(scale, x.size(), "scale");
          args.out = out.out<T>("out"), args.scale = scale.out<T>("scale"), args.x = x.in<T>("x");
          args.size = size, args.alpha = alpha, args.beta = beta, args.k = k, args.ws = workspace();
          run(&NormKernels<T>::local_response_norm_forward, args);
        });
      },
      "out"_a, "scale"_a.none(true), "x"_a, "size"_a, "alpha"_a, "beta"_a, "k"_a);

  m.def(
      "local_response_norm_backward",
      [](const Array& gx, const Array& g, const Array& x, const Array& scale, int64_t size, double alpha, double beta) {
        by_dtype(x, [&]<class T>() {
          LocalResponseNormGrad<T> args{};
          set_channels(args, x);
          check(size >= 1, "size must be positive");
          require(gx, x.size(), "gx");
          require(g, x.size(), "g");
          require(scale, x.size(), "scale");
          args.gx = gx.out<T>("gx"), args.g = g.in<T>("g"), args.x = x.in<T>("x"), args.scale = scale.in<T>("scale");
          args.size = size, args.alpha = alpha, args.beta = beta, args.ws = workspace();
          run_in_scratch<LocalResponseNormParts<T>>(&NormKernels<T>::local_response_norm_backward, args);
        });
      },
      "gx"_a, "g"_a, "x"_a, "scale"_a, "size"_a, "alpha"_a, "beta"_a);
}

}  // namespace einkorn
