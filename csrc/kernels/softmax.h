// softmax, log_softmax and their gradients along the middle one of three axes.
//
//   softmax        y[o,:,i] = exp(x - max) / sum(exp(x - max))           gx = y * (g - sum(g * y))
//   log_softmax    y[o,:,i] = x - max - log(sum(exp(x - max)))           gx = g - exp(y) * sum(g)
//
// Shapes       out, x, gx, g, y [outer, n, inner], contiguous. inner = 1: the last axis of an array.
// Aliasing     out may be x; gx may be g or y.       Zero sizes  nothing happens.
// NaN          a row with a NaN, a +inf, or nothing but -inf is NaN throughout (inf - inf), as PyTorch has it; a -inf
// among
//              finite numbers has probability 0 and logarithm -inf.
// Accumulates  in T, in vectors and blocks of a row, always in the same order.
// Writes       all of out, gx. Same bits for any thread count: a row belongs to one task.
// Cost         about 25 FLOP an element (exp), twice for log_softmax backward's exp and sum; bytes: every operand once.

#pragma once

#include "kernels/layout.h"
#include "kernels/table.h"
#include "runtime/parallel.h"

namespace einkorn {

template <class T>
struct Softmax {
  T* out;
  const T* x;
  int64_t outer, n, inner;
  Workspace ws;
};

template <class T>
struct SoftmaxGrad {
  T* gx;
  const T* g;
  const T* y;
  int64_t outer, n, inner;
  Workspace ws;
};

#define EINKORN_SOFTMAX_KERNELS(X) \
  X(softmax_forward, Softmax)      \
  X(softmax_backward, SoftmaxGrad) \
  X(log_softmax_forward, Softmax)  \
  X(log_softmax_backward, SoftmaxGrad)

EINKORN_FLOAT_TABLE(SoftmaxKernels, EINKORN_SOFTMAX_KERNELS)

}  // namespace einkorn
