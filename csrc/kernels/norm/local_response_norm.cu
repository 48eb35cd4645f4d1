// Local response norm on the GPU: a thread an element, neighbouring threads on neighbouring positions, so that every read of a window
// is a whole line; windows are short (5) and overlap in L1.
//
// The gradient's terms g x d^(-beta-1), of which each element sums a window, are written to scratch first: a power costs more
// than a read.
//
// Roofline, [32, 64, 32, 32] float32 (8 MB): forward 25 MB, 0.008 ms at 3.0 TB/s; backward g, x, scale, gx and the terms
// twice, 50 MB, 0.017 ms.
// Plan: response, response_grad, response_terms: 32 registers, 8 blocks of 256 threads an SM

#include <math.h>

#include "kernels/cuda_launch.h"
#include "kernels/instantiate.h"
#include "kernels/norm/norm.h"

namespace einkorn::cuda {

namespace {

template <class T>
__device__ __forceinline__ T power_of(T d, T exponent) {
  return ::exp(::log(d) * exponent);
}

// The sum of term(offset) over the channels from c - before to c + after, as many as there are.
template <class T, class Shape, class Term>
__device__ __forceinline__ T window_sum(const Shape& k, int64_t i, int64_t before, int64_t after, const Term& term) {
  const int64_t c = quotient(i, k.length) % k.channels;
  const int64_t first = c < before ? 0 : c - before, last = c + after < k.channels ? c + after : k.channels - 1;
  T sum = 0;
  for (int64_t j = first; j <= last; ++j) sum += term(i + (j - c) * k.length);
  return sum;
}

template <class T>
__global__ void response(LocalResponseNorm<T> k, T share, T exponent) {
  grid_stride(k.batch * k.channels * k.length, [&](int64_t i) {
    const T sum = window_sum<T>(k, i, k.size / 2, (k.size - 1) / 2, [&](int64_t at) { return k.x[at] * k.x[at]; });
    const T d = sum * share + static_cast<T>(k.k);
    if (k.scale != nullptr) k.scale[i] = d;
    k.out[i] = k.x[i] * power_of(d, exponent);
  });
}

template <class T>
__global__ void response_terms(LocalResponseNormGrad<T> k, T exponent, T* terms) {
  grid_stride(k.batch * k.channels * k.length,
              [&](int64_t i) { terms[i] = k.g[i] * power_of(k.scale[i], exponent) * k.x[i] / k.scale[i]; });
}

template <class T>
__global__ void response_grad(LocalResponseNormGrad<T> k, T exponent, T twice, const T* terms) {
  grid_stride(k.batch * k.channels * k.length, [&](int64_t i) {
    const T sum = window_sum<T>(k, i, (k.size - 1) / 2, k.size / 2, [&](int64_t at) { return terms[at]; });
    k.gx[i] = k.g[i] * power_of(k.scale[i], exponent) - k.x[i] * twice * sum;
  });
}

}  // namespace

template <class T>
void local_response_norm_forward(const LocalResponseNorm<T>& k) {
  launch_over("local_response_norm_forward", response<T>, k.batch * k.channels * k.length, k,
              static_cast<T>(k.alpha / static_cast<double>(k.size)), static_cast<T>(-k.beta));
}

template <class T>
void local_response_norm_backward(const LocalResponseNormGrad<T>& k) {
  const char* const name = "local_response_norm_backward";
  const int64_t size = k.batch * k.channels * k.length;
  const T exponent = static_cast<T>(-k.beta),
          twice = static_cast<T>(2 * k.alpha * k.beta / static_cast<double>(k.size));
  const StreamScratch terms(static_cast<size_t>(size) * sizeof(T));
  launch_over(name, response_terms<T>, size, k, exponent, terms.as<T>());
  launch_over(name, response_grad<T>, size, k, exponent, twice, terms.as<T>());
}

EINKORN_INSTANTIATE(local_response_norm_forward, LocalResponseNorm)
EINKORN_INSTANTIATE(local_response_norm_backward, LocalResponseNormGrad)

}  // namespace einkorn::cuda
