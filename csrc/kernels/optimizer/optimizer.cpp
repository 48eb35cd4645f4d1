// Steps of gradient descent and of Adam, over the chunks of for_tensors.h.
//
// versions tried, Adam, 10 million float32 parameters, avx512, ms           1 thread (torch's fused Adam: 4.8)   GB/s
//   chunks of 8192 to 5 million elements                                   4.35 - 4.4                           64
//   the two moments stored past the caches                                 4.55                                 62
//   fetched ahead by 0.5, 1, 1.5, 2, 2.5, 3 KB                             4.6, 4.5, 4.2, 3.95, 3.9, 3.9        72
//   one core of Emerald Rapids, 61,706 parameters in its L2 cache, us: 28.9; the root by an estimate and what is left of it 24.7, the
//   quotient likewise 28.5; of 800,000 none of them gains: seven lines to and from L2 take 17 of 21 cycles a vector
//   two threads, machine quiet: 2.3 (torch: 2.5); 100,480 + 1,290 parameters in four tensors: 0.017 (torch: 0.050)

#include "kernels/optimizer/optimizer.h"

#include <math.h>

#include "kernels/instantiate.h"
#include "kernels/optimizer/for_tensors.h"
#include "simd/math.h"

namespace einkorn::EINKORN_ISA {

template <class T>
void sgd_step(const SgdStep<T>& k) {
  const T lr = (T)k.lr, momentum = (T)k.momentum, keep = (T)(1 - k.dampening), weight_decay = (T)k.weight_decay;
  for_tensors<T>(k.ws, k.tensors, k.count, 0.15, [&](const SgdTensor<T>& tensor, int64_t i, int64_t n) {
    fetch_ahead(tensor.param + i);
    fetch_ahead(tensor.grad + i);
    const Vec<T> p = load_n(tensor.param + i, n);
    Vec<T> d = load_n(tensor.grad + i, n);
    if (k.maximize) d = -d;
    if (weight_decay != 0) d += p * weight_decay;
    if (tensor.momentum_buffer != nullptr) {
      fetch_ahead(tensor.momentum_buffer + i);
      Vec<T> b = d;
      if (!k.first_step) b = load_n(tensor.momentum_buffer + i, n) * momentum + d * keep;
      store_n(tensor.momentum_buffer + i, n, b);
      d = k.nesterov ? d + b * momentum : b;
    }
    store_n(tensor.param + i, n, p - d * lr);
  });
}

template <class T>
void adam_step(const AdamStep<T>& k) {
  const double correction1 = 1 - ::pow(k.beta1, (double)k.step), correction2 = 1 - ::pow(k.beta2, (double)k.step);
  const T rate = (T)(k.lr / correction1), root = (T)(1 / ::sqrt(correction2)), eps = (T)k.eps;
  const T take1 = (T)(1 - k.beta1), beta2 = (T)k.beta2, take2 = (T)(1 - k.beta2);
  const T shrink = (T)(k.decoupled ? 1 - k.lr * k.weight_decay : 1), pull = (T)(k.decoupled ? 0 : k.weight_decay);
  for_tensors<T>(k.ws, k.tensors, k.count, 0.4, [&](const AdamTensor<T>& tensor, int64_t i, int64_t n) {
    fetch_ahead(tensor.param + i);
    fetch_ahead(tensor.grad + i);
    fetch_ahead(tensor.exp_avg + i);
    fetch_ahead(tensor.exp_avg_sq + i);
    Vec<T> p = load_n(tensor.param + i, n), g = load_n(tensor.grad + i, n);
    Vec<T> m = load_n(tensor.exp_avg + i, n), v = load_n(tensor.exp_avg_sq + i, n);
    if (k.maximize) g = -g;
    if (pull != 0) g += p * pull;
    p *= shrink;
    m += (g - m) * take1;
    v = v * beta2 + g * g * take2;
    store_n(tensor.exp_avg + i, n, m);
    store_n(tensor.exp_avg_sq + i, n, v);
    if (tensor.max_exp_avg_sq != nullptr) {
      const Vec<T> largest = load_n(tensor.max_exp_avg_sq + i, n);
      v = (largest > v) | (largest != largest) ? largest : v;
      store_n(tensor.max_exp_avg_sq + i, n, v);
    }
    store_n(tensor.param + i, n, p - m * rate / (square_root(v) * root + eps));
  });
}

EINKORN_INSTANTIATE(sgd_step, SgdStep)
EINKORN_INSTANTIATE(adam_step, AdamStep)

}  // namespace einkorn::EINKORN_ISA
