// Normalisation: by the statistics of a row, of a channel, and by the neighbours among channels; and the gradients.
//
//   row_norm              y[r,i] = act((s[r,i] - mean[r]) rstd[r] w[c] + b[c]),   s = x + residual
//                           c = (r mod groups) (n / run) + i / run        rstd = 1 / sqrt(var + eps), var biased
//                         layer norm: groups 1, run 1; group norm: rows of [N groups, C/groups run], run = H W; without
//                         `mean` nothing is subtracted and var is the mean square: RMS norm.
//   batch_norm            y[n,c,l] = act((x - mean[c]) rstd[c] w[c] + b[c] + residual)
//                           training: statistics over n and l; running = (1 - momentum) running + momentum batch, where the
//                           variance is the unbiased one. Else the running statistics normalise.
//   local_response_norm   y[n,c,l] = x d^-beta,   d = k + alpha / size * sum of x[n,i,l]^2, i from c - size/2 to c + (size-1)/2
//
//   gradients, with g the gradient before the activation (it follows from y), xhat = (x - mean) rstd and h = g w:
//     rows, batches      gx = rstd (h - mean(h) - xhat mean(h xhat)),  gw = sum g xhat,  gb = sum g;   gx += addend for rows
//     running statistics gx = rstd h
//     local response     gx_j = g_j d_j^-beta - 2 alpha beta / size x_j sum of g_i x_i d_i^(-beta-1), i whose window has j
//
// Shapes       row_norm: x, residual, total (= s), out [rows, n]; mean, rstd [rows]; w, b [groups n / run].
//              batch_norm, local_response_norm: x, residual, out, scale (= d) [N, C, L]; all else [C].
//              All contiguous. Optional ones are null: total with residual, w, b, running statistics, y without activation,
//              every gradient.
// bfloat16     rows and batches take x, residual, out, y, g, gx, gresidual and addend as bfloat16 (uint16_t), all else as float
//              and double: the float kernel's result of the same numbers, bit by bit, rounded as it is stored. No total.
// Aliasing     out may be x where there is no gradient to come; else none.
// Zero sizes   sums over nothing are 0; the statistics of nothing are NaN.
// NaN          a NaN or an infinity makes NaN of what it is normalised with, and of nothing else.
// Accumulates  the variance as squared distances from the mean, block by block, blocks joined in double: mean 1e4 with
//              variance 1e-2 keeps the accuracy of its inputs. mean and rstd are double for either T; x - mean subtracts the
//              mean in two parts. Gradient sums in T within a block, blocks in double.
// Writes       all of the outputs; running statistics are updated. Same bits for any thread count: tasks and their partial sums
//              follow from the sizes.
// Cost         about 8 FLOP an element forward, 14 backward. Bytes: operands and results once while a row (a channel) fits the
//              L2 cache; else x twice, in the backward pass g too.

#pragma once

#include "kernels/activation.h"
#include "kernels/stored.h"
#include "kernels/table.h"
#include "runtime/carver.h"
#include "runtime/parallel.h"

namespace einkorn {

template <class T>
struct RowNorm {
  T* out;
  T* total;
  double* mean;
  double* rstd;
  const T* x;
  const T* residual;
  const Number<T>* weight;
  const Number<T>* bias;
  int64_t rows, n, groups, run;
  double eps;
  Activation activation;
  Workspace ws;
};

template <class T>
struct RowNormGrad {
  T* gx;
  Number<T>* gweight;
  Number<T>* gbias;
  const T* g;
  const T* y;
  const T* x;
  const double* mean;
  const double* rstd;
  const Number<T>* weight;
  const T* addend;
  int64_t rows, n, groups, run;
  Activation activation;
  Workspace ws;
};

template <class T>
struct BatchNorm {
  T* out;
  double* mean;
  double* rstd;
  Number<T>* running_mean;
  Number<T>* running_var;
  const T* x;
  const T* residual;
  const Number<T>* weight;
  const Number<T>* bias;
  int64_t batch, channels, length;
  double momentum, eps;
  bool training;
  Activation activation;
  Workspace ws;
};

template <class T>
struct BatchNormGrad {
  T* gx;
  T* gresidual;
  Number<T>* gweight;
  Number<T>* gbias;
  const T* g;
  const T* y;
  const T* x;
  const double* mean;
  const double* rstd;
  const Number<T>* weight;
  int64_t batch, channels, length;
  bool training;
  Activation activation;
  Workspace ws;
};

template <class T>
struct LocalResponseNorm {
  T* out;
  T* scale;
  const T* x;
  int64_t batch, channels, length, size;
  double alpha, beta, k;
  Workspace ws;
};

template <class T>
struct LocalResponseNormGrad {
  T* gx;
  const T* g;
  const T* x;
  const T* scale;
  int64_t batch, channels, length, size;
  double alpha, beta;
  Workspace ws;
};

#define EINKORN_NORM_STORED_KERNELS(X) \
  X(row_norm_forward, RowNorm)         \
  X(row_norm_backward, RowNormGrad)    \
  X(batch_norm_forward, BatchNorm)     \
  X(batch_norm_backward, BatchNormGrad)

#define EINKORN_NORM_KERNELS(X)                     \
  EINKORN_NORM_STORED_KERNELS(X)                    \
  X(local_response_norm_forward, LocalResponseNorm) \
  X(local_response_norm_backward, LocalResponseNormGrad)

EINKORN_FLOAT_TABLE(NormKernels, EINKORN_NORM_KERNELS)

}  // namespace einkorn
