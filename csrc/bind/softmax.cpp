#include "kernels/softmax.h"

#include "bind/array.h"
#include "bind/quick.h"

namespace einkorn::bind_softmax {

namespace {

void check_same(const Array& a, const Array& b, const char* name) {
  bool same = a.ndim == 3 && b.ndim == 3;
  for (int d = 0; same && d < 3; ++d) same = a.shape[d] == b.shape[d];
  if (!same) throw py::value_error(std::string("argument '") + name + "' must be [outer, n, inner] as the output is");
}

template <class T>
void run_softmax(void (*SoftmaxKernels<T>::*kernel)(const Softmax<T>&), const Array& out, const Array& x) {
  check_same(out, x, "x");
  run(kernel, {out.out<T>("out"), x.in<T>("x"), out.shape[0], out.shape[1], out.shape[2], workspace()});
}

template <class T>
void run_softmax_grad(void (*SoftmaxKernels<T>::*kernel)(const SoftmaxGrad<T>&), const Array& gx, const Array& g,
                      const Array& y) {
  check_same(gx, g, "g");
  check_same(gx, y, "y");
  run(kernel, {gx.out<T>("gx"), g.in<T>("g"), y.in<T>("y"), gx.shape[0], gx.shape[1], gx.shape[2], workspace()});
}

// Along the last axis of a small array.
template <bool kLogarithm>
PyObject* quick_softmax(PyObject* const* operands, Py_ssize_t count) {
  Array x, out;
  if (count != 1 || !view_plain(operands[0], x) || x.ndim == 0 || x.size() > kKeepsGil) Py_RETURN_NONE;
  Fresh made(x);
  if (!made.view(out)) return nullptr;
  const int64_t n = x.shape[x.ndim - 1];
  by_dtype(x, [&]<class T>() {
    launch(kLogarithm ? &SoftmaxKernels<T>::log_softmax_forward : &SoftmaxKernels<T>::softmax_forward,
           Softmax<T>{out.out<T>("out"), x.in<T>("x"), x.size() / n, n, 1, workspace()});
  });
  return made.hand_out();
}

}  // namespace

EINKORN_BINDINGS(softmax, m) {
  add_quick("softmax_forward", &quick_softmax<false>);
  add_quick("log_softmax_forward", &quick_softmax<true>);

  m.def(
      "softmax_forward",
      [](const Array& out, const Array& x) {
        by_dtype(out, [&]<class T>() { run_softmax<T>(&SoftmaxKernels<T>::softmax_forward, out, x); });
      },
      "out"_a, "x"_a);

  m.def(
      "softmax_backward",
      [](const Array& gx, const Array& g, const Array& y) {
        by_dtype(gx, [&]<class T>() { run_softmax_grad<T>(&SoftmaxKernels<T>::softmax_backward, gx, g, y); });
      },
      "gx"_a, "g"_a, "y"_a);

  m.def(
      "log_softmax_forward",
      [](const Array& out, const Array& x) {
        by_dtype(out, [&]<class T>() { run_softmax<T>(&SoftmaxKernels<T>::log_softmax_forward, out, x); });
      },
      "out"_a, "x"_a);

  m.def(
      "log_softmax_backward",
      [](const Array& gx, const Array& g, const Array& y) {
        by_dtype(gx, [&]<class T>() { run_softmax_grad<T>(&SoftmaxKernels<T>::log_softmax_backward, gx, g, y); });
      },
      "gx"_a, "g"_a, "y"_a);
}

}  // namespace einkorn::bind_softmax
