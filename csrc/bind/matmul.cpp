#include "kernels/matmul.h"

#include "bind/product.h"
#include "bind/quick.h"

namespace einkorn::bind_matmul {

namespace {

// Whether both operands run along k (a linear layer) and the first one is smaller: that one had better be transposed into panels. Or
// across k (the gradient of a weight), and the first one is larger than a third of a core's cache or k is long: the panels of the
// smaller one pass by all others, and rows of the larger one are read as they lie. (One core of Emerald Rapids, GFLOP/s, operands from
// the last cache: 3200 rows of 1024 gradients and 256 features 138 for 128; 2048 of 512 and 65 122 for 74; 768 of 512 and 128 136 for
// 86, of 384 and 128 122 for 90; since tiles pack on the way 768 of 320 and 128 142 for 100, of 256 and 128 141 for 109 to 137, 400 of
// 500 and 100 128 for 80, 1024 of 192 and 96 138 for 120, but 512 of 400 and 256 139 for 145, and of half a megabyte 512 of 256 and 64
// 135 for 143, 256 of 512 and 128 139 for 152. Operands that the core's cache still has from the call before, as in no training step:
// 153 for 171.)
constexpr int64_t kLargeOperand = 5 << 17;  // bytes
template <class T>
bool is_better_swapped(const Matmul<T>& x) {
  if (x.a_m == 1 && x.a_k != 1) {
    const bool is_large = x.m * x.k * static_cast<int64_t>(sizeof(T)) > kLargeOperand;
    return x.b_n == 1 && x.b_k != 1 && (is_large || x.k > kUncutDepth) && x.m > x.n;
  }
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
  constexpr int64_t kBrief = 64 << 10;  // multiply-adds
  run_in_scratch<MatmulParts<T>>(&MatmulKernels<T>::matmul, x, out.size() <= kBrief && out.size() * x.k <= kBrief);
}

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

// linear(x, weight, bias or None, activation): rows through a small layer.
PyObject* quick_linear(PyObject* const* operands, Py_ssize_t count) {
  Array x, weight, bias, out;
  if (count != 4 || !view_plain(operands[0], x) || !view_plain(operands[1], weight)) Py_RETURN_NONE;
  if (operands[2] != Py_None) {
    if (!view_plain(operands[2], bias)) Py_RETURN_NONE;
    if (bias.ndim != 1 || bias.dtype != x.dtype || bias.shape[0] != weight.shape[0]) Py_RETURN_NONE;
  }
  if (x.ndim == 0 || weight.ndim != 2 || x.dtype != weight.dtype || !PyLong_CheckExact(operands[3])) Py_RETURN_NONE;
  const int64_t in = weight.shape[1], features = weight.shape[0];
  if (x.shape[x.ndim - 1] != in) Py_RETURN_NONE;
  const int64_t rows = x.size() / in;
  if (rows > kMostQuick || features > kMostQuick / rows) Py_RETURN_NONE;
  Array like = x, across = weight;
  like.shape[x.ndim - 1] = features;
  across.shape[0] = in, across.shape[1] = features;
  across.strides[0] = 1, across.strides[1] = weight.strides[0];
  Fresh made(like);
  if (!made.view(out)) return nullptr;
  for (Array* const array : {&x, &out}) {
    const int64_t width = array == &x ? in : features;
    array->ndim = 2;
    array->shape[0] = rows, array->shape[1] = width;
    array->strides[0] = width, array->strides[1] = 1;
  }
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
