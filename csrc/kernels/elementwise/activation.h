// Activations beyond those of elementwise.h, each with up to two numbers, and their derivatives.
//
//                      f(x)                                                     alpha, beta
//   selu               beta x where x > 0, else alpha expm1(x)                  scale times alpha, scale
//   celu               x where x > 0, else alpha expm1(x / alpha)               alpha
//   mish               x tanh(log(1 + exp(x)))
//   hardswish          x min(max(x + 3, 0), 6) / 6
//   hardsigmoid        min(max(x + 3, 0), 6) / 6
//   hardtanh           min(max(x, alpha), beta)                                 least, most
//   hardshrink         0 where |x| <= alpha, else x                             lambda
//   softshrink         0 where |x| <= alpha, else alpha nearer to 0             lambda
//   tanhshrink         x - tanh(x), without cancellation
//   log_sigmoid        -log(1 + exp(-x))
//   softsign           x / (1 + |x|)
//   softplus_scaled    x where alpha x > beta, else log(1 + exp(alpha x)) / alpha
//   threshold          x where x > alpha, else beta                             threshold, value
//   f_grad             gx = g f'(x)     at a kink the side that torch takes
//
// Layout      forward: any strides. Gradients: gx, g, x contiguous.
// Aliasing    out may be the same array as x, of the same layout (gx as g); no other overlap.
// Zero sizes  nothing happens.       NaN  propagates. mish(-inf) is 0, the limit; softsign of an infinity is NaN.
// Writes      every element of out. Same bits for any thread count.
// Cost        5 to 30 FLOPs an element; bytes: every operand once.

#pragma once

#include "kernels/layout.h"
#include "kernels/table.h"
#include "runtime/parallel.h"

namespace einkorn {

template <class T>
struct Activate {
  T* out;
  const T* x;
  Layout<2> layout;
  T alpha, beta;
  Workspace ws;
};

template <class T>
struct ActivateGrad {
  T* gx;
  const T* g;
  const T* x;
  int64_t size;
  T alpha, beta;
  Workspace ws;
};

#define EINKORN_ACTIVATION_FORWARD_KERNELS(X) \
  X(selu, Activate)                           \
  X(celu, Activate)                           \
  X(mish, Activate)                           \
  X(hardswish, Activate)                      \
  X(hardsigmoid, Activate)                    \
  X(hardtanh, Activate)                       \
  X(hardshrink, Activate)                     \
  X(softshrink, Activate)                     \
  X(tanhshrink, Activate)                     \
  X(log_sigmoid, Activate)                    \
  X(softsign, Activate)                       \
  X(softplus_scaled, Activate)                \
  X(threshold, Activate)

#define EINKORN_ACTIVATION_GRAD_KERNELS(X) \
  X(selu_grad, ActivateGrad)               \
  X(celu_grad, ActivateGrad)               \
  X(mish_grad, ActivateGrad)               \
  X(hardswish_grad, ActivateGrad)          \
  X(hardsigmoid_grad, ActivateGrad)        \
  X(hardtanh_grad, ActivateGrad)           \
  X(hardshrink_grad, ActivateGrad)         \
  X(tanhshrink_grad, ActivateGrad)         \
  X(log_sigmoid_grad, ActivateGrad)        \
  X(softsign_grad, ActivateGrad)           \
  X(softplus_scaled_grad, ActivateGrad)    \
  X(threshold_grad, ActivateGrad)

#define EINKORN_ACTIVATION_KERNELS(X) EINKORN_ACTIVATION_FORWARD_KERNELS(X) EINKORN_ACTIVATION_GRAD_KERNELS(X)

EINKORN_FLOAT_TABLE(ActivationKernels, EINKORN_ACTIVATION_KERNELS)

}  // namespace einkorn
