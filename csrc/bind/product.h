// Shapes and strides of a matrix product's arrays, for the argument structs that have Matmul's fields (kernels/matmul.h).

#pragma once

#include <string>
#include <utility>

#include "bind/array.h"
#include "kernels/activation.h"

namespace einkorn {

// C^T = B^T A^T: exchanges the operands and the output's steps.
template <class Args>
void swap_operands(Args& x) {
  std::swap(x.a, x.b);
  std::swap(x.m, x.n);
  std::swap(x.out_m, x.out_n);
  const int64_t a_m = x.a_m, a_k = x.a_k;
  x.a_m = x.b_n, x.a_k = x.b_k;
  x.b_n = a_m, x.b_k = a_k;
  for (int d = 0; d < x.batch_ndim; ++d) std::swap(x.a_batch[d], x.b_batch[d]);
  x.bias_on_rows = true;
}

// Everything but the pointers. False where there is no output.
template <class Args>
bool lay_out(const std::string& op, Args& x, const Array& out, const Array& a, const Array& b, const Array& bias,
             double alpha, double beta, int activation) {
  const int nd = out.ndim;
  if (nd < 2 || a.ndim != nd || b.ndim != nd)
    throw py::value_error(op + ": out, a and b must have one rank, at least 2");
  x.m = out.shape[nd - 2];
  x.n = out.shape[nd - 1];
  x.k = a.shape[nd - 1];
  if (a.shape[nd - 2] != x.m || b.shape[nd - 2] != x.k || b.shape[nd - 1] != x.n || (bias && bias.size() != x.n))
    throw py::value_error(op + ": shapes do not fit");
  x.out_m = x.n;
  x.out_n = 1;
  if (out.size() == 0) return false;
  // A dimension of size 1 is never stepped along; stride 1 there lets the kernel read rows or columns as it likes.
  x.a_m = x.m == 1 ? x.k : a.strides[nd - 2];
  x.a_k = x.k <= 1 ? 1 : a.strides[nd - 1];
  x.b_k = x.k <= 1 ? 1 : b.strides[nd - 2];
  x.b_n = x.n == 1 ? 1 : b.strides[nd - 1];
  if (x.m != 1 && x.a_m != 1 && x.a_k != 1) throw py::value_error(op + ": a must have stride 1 along rows or columns");
  if (x.k > 1 && x.b_k != 1 && x.b_n != 1) throw py::value_error(op + ": b must have stride 1 along rows or columns");
  x.batch_ndim = nd - 2;
  for (int d = 0; d < nd - 2; ++d) {
    if (a.shape[d] != out.shape[d] || b.shape[d] != out.shape[d]) throw py::value_error(op + ": batch shapes differ");
    x.batch_shape[d] = out.shape[d];
    x.a_batch[d] = a.strides[d];
    x.b_batch[d] = b.strides[d];
    x.out_batch[d] = x.m * x.n;
    for (int e = d + 1; e < nd - 2; ++e) x.out_batch[d] *= out.shape[e];
  }
  x.alpha = static_cast<typename Args::Sum>(alpha);
  x.beta = static_cast<typename Args::Sum>(beta);
  x.activation = static_cast<Activation>(activation);
  x.ws = workspace();
  return true;
}

}  // namespace einkorn
