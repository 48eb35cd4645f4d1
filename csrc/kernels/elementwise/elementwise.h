// Elementwise arithmetic, activations and their derivatives.
//
//   unary       out[i] = f(x[i])              leaky_relu and elu take alpha
//   binary      out[i] = f(a[i], b[i])        broadcasting arrives as zero strides
//                                             divide_floor, divide_trunc: the quotient, rounded down or towards 0
//   gradient    gx[i]  = g[i] * f'            f' from the saved s: the output y where it suffices, else the input x
//                                             (relu, leaky_relu: either; elu: x)
//   where       out[i] = condition[i] != 0 ? a[i] : b[i]
//   clip        out[i] = min(max(x[i], low), high)
//
// Layout      unary, binary, where, clip: any strides. Gradients: gx, g, s contiguous.
// Aliasing    out may be the same array as an input of the same layout (gx as g); no other overlap.
// Zero sizes  nothing happens.       NaN  propagates, through relu, maximum and clip too. Comparisons with NaN give 0.
// Writes      every element of out. Same bits for any thread count.
// Cost        1 FLOP an element for arithmetic, about 10 to 20 for transcendentals; bytes: every operand once.

#pragma once

#include "kernels/layout.h"
#include "kernels/table.h"
#include "runtime/parallel.h"

namespace einkorn {

template <class T>
struct Unary {
  T* out;
  const T* x;
  Layout<2> layout;
  T alpha;
  Workspace ws;
};

template <class T>
struct UnaryGrad {
  T* gx;
  const T* g;
  const T* s;
  int64_t size;
  T alpha;
  Workspace ws;
};

template <class T>
struct Binary {
  T* out;
  const T* a;
  const T* b;
  Layout<3> layout;
  Workspace ws;
};

template <class T>
struct Where {
  T* out;
  const T* condition;
  const T* a;
  const T* b;
  Layout<4> layout;
  Workspace ws;
};

template <class T>
struct Clip {
  T* out;
  const T* x;
  Layout<2> layout;
  T low, high;
  Workspace ws;
};

#define EINKORN_PLAIN_UNARY_KERNELS(X) \
  X(negative, Unary)                   \
  X(absolute, Unary)                   \
  X(exp, Unary)                        \
  X(log, Unary)                        \
  X(sqrt, Unary)                       \
  X(square, Unary)                     \
  X(reciprocal, Unary)                 \
  X(sin, Unary)                        \
  X(cos, Unary)                        \
  X(sign, Unary)                       \
  X(erf, Unary)                        \
  X(relu, Unary)                       \
  X(sigmoid, Unary)                    \
  X(tanh, Unary)                       \
  X(gelu, Unary)                       \
  X(gelu_tanh, Unary)                  \
  X(silu, Unary)                       \
  X(softplus, Unary)                   \
  X(step, Unary)

#define EINKORN_ALPHA_UNARY_KERNELS(X) \
  X(leaky_relu, Unary)                 \
  X(elu, Unary)

#define EINKORN_PLAIN_UNARY_GRAD_KERNELS(X) \
  X(absolute_grad, UnaryGrad)               \
  X(relu_grad, UnaryGrad)                   \
  X(sigmoid_grad, UnaryGrad)                \
  X(tanh_grad, UnaryGrad)                   \
  X(gelu_grad, UnaryGrad)                   \
  X(gelu_tanh_grad, UnaryGrad)              \
  X(silu_grad, UnaryGrad)                   \
  X(softplus_grad, UnaryGrad)

#define EINKORN_ALPHA_UNARY_GRAD_KERNELS(X) \
  X(leaky_relu_grad, UnaryGrad)             \
  X(elu_grad, UnaryGrad)

#define EINKORN_BINARY_KERNELS(X) \
  X(add, Binary)                  \
  X(subtract, Binary)             \
  X(multiply, Binary)             \
  X(divide, Binary)               \
  X(divide_floor, Binary)         \
  X(divide_trunc, Binary)         \
  X(maximum, Binary)              \
  X(minimum, Binary)              \
  X(power, Binary)                \
  X(greater, Binary)              \
  X(greater_equal, Binary)        \
  X(equal, Binary)

#define EINKORN_UNARY_KERNELS(X) EINKORN_PLAIN_UNARY_KERNELS(X) EINKORN_ALPHA_UNARY_KERNELS(X)
#define EINKORN_UNARY_GRAD_KERNELS(X) EINKORN_PLAIN_UNARY_GRAD_KERNELS(X) EINKORN_ALPHA_UNARY_GRAD_KERNELS(X)

#define EINKORN_ELEMENTWISE_KERNELS(X) \
  EINKORN_UNARY_KERNELS(X)             \
  EINKORN_UNARY_GRAD_KERNELS(X)        \
  EINKORN_BINARY_KERNELS(X)            \
  X(where, Where)                      \
  X(clip, Clip)

EINKORN_FLOAT_TABLE(ElementwiseKernels, EINKORN_ELEMENTWISE_KERNELS)

}  // namespace einkorn
