// Optimizer steps over many tensors in one launch, with torch.optim's semantics.
//
//   sgd_step    d = g + weight_decay p
//               b = momentum b + (1 - dampening) d, on the first step b = d;   d = nesterov ? d + momentum b : b
//               p = p - lr d                                     (without buffers b: d as it is)
//   adam_step   decoupled: p = p - lr weight_decay p;   else: g = g + weight_decay p
//               m = m + (1 - beta1) (g - m),   v = beta2 v + (1 - beta2) g^2
//               p = p - lr / c1 m / (sqrt(v / c2) + eps),   ck = 1 - betak^step
//               with buffers w (AMSGrad): w = max(w, v) stands for v in the last line
//
// Sources: Sutskever et al. 2013 (momentum); Kingma and Ba 2015; Loshchilov and Hutter 2019 (decoupled); Reddi et al.
// 2018.
//
// Layout      every tensor contiguous; grad, and each buffer, has its parameter's size.
// Aliasing    none.     Zero sizes  empty tensors are skipped.     NaN  propagates.
// Writes      p and the buffers, element by element: same bits for any thread count and any grouping into launches.
// Cost        per element: SGD 2 FLOP and 12 bytes, with momentum 4 and 20; Adam 12 FLOP and 28 bytes, AMSGrad 36.
//
// The struct holds its tensors by value, up to kOptimizerTensors of them: it can be copied and replayed like any other,
// and fits the 4 KB that a CUDA kernel takes as parameters. The caller launches once for every kOptimizerTensors
// tensors. A recorder that replays a launch advances `step` by one each time.

#pragma once

#include "kernels/table.h"
#include "runtime/parallel.h"

namespace einkorn {

constexpr int kOptimizerTensors = 64;

template <class T>
struct SgdTensor {
  T* param;
  const T* grad;
  T* momentum_buffer;  // null: no momentum
  int64_t size;
};

template <class T>
struct SgdStep {
  double lr, momentum, dampening, weight_decay;
  bool nesterov, first_step;
  int count;
  SgdTensor<T> tensors[kOptimizerTensors];
  Workspace ws;
};

template <class T>
struct AdamTensor {
  T* param;
  const T* grad;
  T* exp_avg;
  T* exp_avg_sq;
  T* max_exp_avg_sq;  // null: not AMSGrad
  int64_t size;
};

template <class T>
struct AdamStep {
  double lr, beta1, beta2, eps, weight_decay;
  int64_t step;  // from 1
  bool decoupled;
  int count;
  AdamTensor<T> tensors[kOptimizerTensors];
  Workspace ws;
};

#define EINKORN_OPTIMIZER_KERNELS(X) \
  X(sgd_step, SgdStep)               \
  X(adam_step, AdamStep)

EINKORN_FLOAT_TABLE(OptimizerKernels, EINKORN_OPTIMIZER_KERNELS)

}  // namespace einkorn
