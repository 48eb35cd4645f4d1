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
// In all that follow, as in the two above, g is -g where `maximize`, then g + weight_decay p. Their `rate` and other
// coefficients are whatever the caller made of the step's number.
//
//   adagrad_step   s = s + g^2,   p = p - rate g / (sqrt(s) + eps)
//                  within: sqrt(s + eps) for sqrt(s) + eps, and so for the root in rmsprop_step
//   adadelta_step  v = rho v + (1 - rho) g^2,   d = g sqrt(a + eps) / sqrt(v + eps),   a = rho a + (1 - rho) d^2
//                  p = p - rate d
//   rmsprop_step   v = alpha v + (1 - alpha) g^2,   with means m = m + (1 - alpha) (g - m) and v - m^2 for v below
//                  d = g / (sqrt(v) + eps),   with buffers b = momentum b + d for d;   p = p - rate d
//   adamax_step    m = m + (1 - beta1) (g - m),   u = max(beta2 u, |g| + eps),   p = p - rate m / u
//                  within: u = max(beta2 u, |g|),   p = p - rate m / (u + eps)
//   moments_step   m as above, v = beta2 v + (1 - beta2) g^2,   p = shrink p first
//                  p = p - (of_grad g + of_mean m) / d,   d = adaptive ? sqrt(v) root + eps : 1          (NAdam, RAdam)
//   lion_step      p = shrink p - rate sign(beta1 m + (1 - beta1) g),   m = beta2 m + (1 - beta2) g
//   rprop_step     f = eta_plus, eta_minus or 1 where g prev > 0, < 0 or neither,   s = clamp(s f, least, most)
//                  g = 0 where f is eta_minus;   p = p - sign(g) s,   prev = g
//   lamb_step      m and v as above, u = m of_mean / (sqrt(v) root + eps) + weight_decay p, which trust_step applies:
//   trust_step     p = p - rate n / l u,   n and l the norms of the tensor and of its u; n / l is 1 where one is 0
//   ftrl_step      n = n + g^2, of g without the L2 penalty;   z = z + g - (n^power - before^power) / rate p
//                  p = |z| <= l1 ? 0 : (sign(z) l1 - z) / (n^power / rate + l2)
//   lerp_step      p = p + weight (o - p)                                                        (averages of weights)
//   clip_norm_step    p = p min(1, max_norm / (total + 1e-6)),   total in memory
//   clip_value_step   p = min(max(p, -limit), limit)
//   tensor_norms      norms[t] = (sum |x|^power)^(1/power) of each tensor; infinity: the largest |x|, -infinity: the
//                     smallest, 0: how many are not 0. An empty tensor has norm 0.
//
// Sources: Sutskever et al. 2013 (momentum); Kingma and Ba 2015 (Adam, Adamax); Loshchilov and Hutter 2019 (decoupled);
// Reddi et al. 2018 (AMSGrad); Duchi et al. 2011; Zeiler 2012; Tieleman and Hinton 2012; Dozat 2016 (NAdam); Liu et al.
// 2020 (RAdam); Chen et al. 2023 (Lion); Riedmiller and Braun 1993 (Rprop); You et al. 2020 (LAMB); McMahan et al. 2013
// (FTRL-Proximal).
//
// Layout      every tensor contiguous; grad, and each buffer, has its parameter's size.
// Aliasing    none.     Zero sizes  empty tensors are skipped.     NaN  propagates.
// Writes      p and the buffers, element by element: same bits for any thread count and any grouping into launches.
// Accumulation  norms: blocks of 4096 elements in T, their sums in double and in order; NaN in a tensor is its norm.
// Cost        per element: SGD 2 FLOP and 12 bytes, with momentum 4 and 20; Adam 12 FLOP and 28 bytes, AMSGrad 36; of
//             the others 12 bytes for p and g and 8 for each array of state; clipping 8, norms 2 FLOP and 4 bytes.
//
// The struct holds its tensors by value, up to kOptimizerTensors of them: it can be copied and replayed like any other,
// and fits the 4 KB that a CUDA kernel takes as parameters. The caller launches once for every kOptimizerTensors
// tensors. A recorder that replays a launch advances `step` by one each time.

#pragma once

#include "kernels/table.h"
#include "runtime/carver.h"
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
  bool nesterov, maximize, first_step;
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
  bool decoupled, maximize;
  int count;
  AdamTensor<T> tensors[kOptimizerTensors];
  Workspace ws;
};

template <class T>
struct UpdateTensor {
  T* param;
  const T* grad;              // of trust_step and lerp_step the other array
  T *first, *second, *third;  // state, in the order of the formulas above; null: none
  int64_t size;
};

// What all further kernels take. Each reads the coefficients that its formula names, and no others.
struct UpdateRule {
  double rate = 0, of_grad = 0, of_mean = 0, root = 0, beta1 = 0, beta2 = 0, eps = 0, momentum = 0, weight_decay = 0;
  double shrink = 0, least = 0, most = 0, power = 0, l1 = 0, l2 = 0;
  bool adaptive = false, maximize = false, within = false;
  // trust_step: of each tensor and its update; clip_norm_step: the total
  const double *norms = nullptr, *other_norms = nullptr;
};

template <class T>
struct Update : UpdateRule {
  int count;
  UpdateTensor<T> tensors[kOptimizerTensors];
  Workspace ws;
};

template <class T>
struct NormTensor {
  const T* x;
  int64_t size;
};

constexpr int64_t kNormBlock = 16384;  // elements

template <class T>
struct TensorNorms {
  double* norms;
  double power;
  int count;
  NormTensor<T> tensors[kOptimizerTensors];
  Workspace ws;

  int64_t blocks() const {
    int64_t total = 0;
    for (int t = 0; t < count; ++t) total += (tensors[t].size + kNormBlock - 1) / kNormBlock;
    return total;
  }
};

struct NormParts {
  double* partial;  // of each block of each tensor

  template <class T>
  NormParts(Carver& c, const TensorNorms<T>& k) : partial(c.take<double>(k.blocks())) {}
};

#define EINKORN_OPTIMIZER_KERNELS(X) \
  X(sgd_step, SgdStep)               \
  X(adam_step, AdamStep)             \
  X(adagrad_step, Update)            \
  X(adadelta_step, Update)           \
  X(rmsprop_step, Update)            \
  X(adamax_step, Update)             \
  X(moments_step, Update)            \
  X(lion_step, Update)               \
  X(rprop_step, Update)              \
  X(lamb_step, Update)               \
  X(trust_step, Update)              \
  X(ftrl_step, Update)               \
  X(lerp_step, Update)               \
  X(clip_norm_step, Update)          \
  X(clip_value_step, Update)         \
  X(tensor_norms, TensorNorms)

EINKORN_FLOAT_TABLE(OptimizerKernels, EINKORN_OPTIMIZER_KERNELS)

}  // namespace einkorn
