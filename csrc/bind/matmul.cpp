#include "kernels/matmul.h"

#include "bind/product.h"
#include "bind/quick.h"

namespace einkorn::bind_matmul {

namespace {

// Whether both operands run along k (a linear layer) and the first one is smaller: that one had better be transposed into panels.
template <class T>
bool is_better_swapped(const Matmul<T>& x) {
  return x.a_k == 1 && x.b_k == 1 && x.b_n != 1 && x.m < x.n && x.m <= 128;
}

template <class T>
void run_matmul(const Array& out, const Array& a, const Array& b, const Array& bias, double alpha, double beta,
                int activation) {
  Matmul<T> x{};
  x.out = out.out<T>("out");
  x.a = a.strided<T>("a");
  x.b = b.strided<T>("b");
  x.bias = bias.optional_in<T>("bias");
  if (!lay_out("matmul", x, out, a, b, bias, alpha, beta, activation)) return;
  if (x.m > 1 && (x.n == 1 || (is_better_swapped(x) && !is_dotted(x)))) swap_operands(x);
  run_in_scratch<MatmulParts<T>>(&MatmulKernels<T>::matmul, x);
}

// Elements of a result that the short cut gives.
constexpr int64_t kMostQuick = 1 << 16;

// Two matrices whose product is small.
PyObject* quick_matmul(PyObject* const* operands, Py_ssize_t count) {
  Array a, b, out;
  if (count != 2 || !view_plain(operands[0], a) || !view_plain(operands[1], b)) Py_RETURN_NONE;
  if (a.ndim != 2 || b.ndim != 2 || a.dtype != b.dtype || a.shape[1] != b.shape[0]) Py_RETURN_NONE;
  if (a.shape[0] > kMostQuick || b.shape[1] > kMostQuick / a.shape[0]) Py_RETURN_NONE;
  Array like = a;
  like.shape[1] = b.shape[1];
  Fresh made(like);
  if (!made.view(out)) return nullptr;
  by_dtype(out, [&]<class T>() { run_matmul<T>(out, a, b, {}, 1, 0, 0); });
  return made.hand_out();
}

// linear(x, weight, bias, activation): rows through a small layer.
PyObject* quick_linear(PyObject* const* operands, Py_ssize_t count) {
  Array x, weight, bias, out;
  if (count != 4 || !view_plain(operands[0], x) || !view_plain(operands[1], weight) || !view_plain(operands[2], bias))
    Py_RETURN_NONE;
  if (x.ndim != 2 || weight.ndim != 2 || bias.ndim != 1 || x.dtype != weight.dtype || x.dtype != bias.dtype)
    Py_RETURN_NONE;
  if (x.shape[1] != weight.shape[1] || bias.shape[0] != weight.shape[0] || !PyLong_CheckExact(operands[3]))
    Py_RETURN_NONE;
  if (x.shape[0] > kMostQuick || weight.shape[0] > kMostQuick / x.shape[0]) Py_RETURN_NONE;
  Array like = x, across = weight;
  like.shape[1] = weight.shape[0];
  across.shape[0] = weight.shape[1], across.shape[1] = weight.shape[0];
  across.strides[0] = 1, across.strides[1] = weight.strides[0];
  Fresh made(like);
  if (!made.view(out)) return nullptr;
  const int activation = static_cast<int>(PyLong_AsLong(operands[3]));
  by_dtype(out, [&]<class T>() { run_matmul<T>(out, x, across, bias, 1, 0, activation); });
  return made.hand_out();
}

}  // namespace

EINKORN_BINDINGS(matmul, m) {
  add_quick("matmul", &quick_matmul);
  add_quick("linear", &quick_linear);

  m.def(
      "matmul",
      [](const Array& out, const Array& a, const Array& b, const Array& bias, double alpha, double beta,
         int activation) {
        by_dtype(out, [&]<class T>() { run_matmul<T>(out, a, b, bias, alpha, beta, activation); });
      },
      "out"_a, "a"_a, "b"_a, "bias"_a.none(true), "alpha"_a, "beta"_a, "activation"_a);
}

}  // namespace einkorn::bind_matmul
