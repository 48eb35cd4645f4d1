// A kernel from the formula of one element: what elementwise.cu, activation.cu and math.cu are lists of.
//
//   EINKORN_UNARY(name, expression of x and alpha)       EINKORN_UNARY_GRAD(name, of g, s and alpha)
//   EINKORN_BINARY(name, of a and b)

#pragma once

#include <math.h>

#include "kernels/elementwise/elementwise.h"
#include "kernels/elementwise/elementwise_cuda.h"
#include "kernels/instantiate.h"

namespace einkorn::cuda {

template <class T>
__device__ __forceinline__ T logistic(T x) {
  return 1 / (1 + ::exp(-x));
}

// Three arrays without gaps.
inline Layout<3> flat(int64_t size) {
  Layout<3> layout = {};
  layout.ndim = 1;
  layout.shape[0] = size;
  for (auto& strides : layout.strides) strides[0] = 1;
  return layout;
}

}  // namespace einkorn::cuda

#define EINKORN_UNARY(name, expression)                                \
  namespace {                                                          \
  template <class T>                                                   \
  struct name##_function {                                             \
    T alpha;                                                           \
    __device__ T operator()(T x) const { return expression; }          \
  };                                                                   \
  }                                                                    \
  template <class T>                                                   \
  void name(const Unary<T>& k) {                                       \
    using Function = name##_function<T>;                               \
    for_elements<1>(#name, k.layout, k.out, {k.x}, Function{k.alpha}); \
  }                                                                    \
  EINKORN_INSTANTIATE(name, Unary)

#define EINKORN_UNARY_GRAD(name, expression)                                   \
  namespace {                                                                  \
  template <class T>                                                           \
  struct name##_function {                                                     \
    T alpha;                                                                   \
    __device__ T operator()(T g, T s) const { return expression; }             \
  };                                                                           \
  }                                                                            \
  template <class T>                                                           \
  void name(const UnaryGrad<T>& k) {                                           \
    using Function = name##_function<T>;                                       \
    for_elements<2>(#name, flat(k.size), k.gx, {k.g, k.s}, Function{k.alpha}); \
  }                                                                            \
  EINKORN_INSTANTIATE(name, UnaryGrad)

#define EINKORN_BINARY(name, expression)                             \
  namespace {                                                        \
  template <class T>                                                 \
  struct name##_function {                                           \
    __device__ T operator()(T a, T b) const { return expression; }   \
  };                                                                 \
  }                                                                  \
  template <class T>                                                 \
  void name(const Binary<T>& k) {                                    \
    using Function = name##_function<T>;                             \
    for_elements<2>(#name, k.layout, k.out, {k.a, k.b}, Function{}); \
  }                                                                  \
  EINKORN_INSTANTIATE(name, Binary)
