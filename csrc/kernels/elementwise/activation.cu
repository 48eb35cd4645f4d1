// Further activations on the GPU, written for one element; all are bound by memory. See elementwise_cuda.h for the walk.
//
// mish and its slope take one exponential: with e = exp(x), mish is x n / (n + 2) for n = e (e + 2) (activation.cpp).

#include "kernels/elementwise/activation.h"
#include "kernels/elementwise/functions_cuda.h"

namespace einkorn::cuda {

namespace {

constexpr int kMishFlat = 20;  // from here on mish(x) is x and its slope 1, in float and nearly so in double

template <class T>
__device__ __forceinline__ T mish_exponential(T x) {
  return ::exp(x > 40 ? T{40} : x);
}

template <class T>
__device__ __forceinline__ T mish_of(T x) {
  if (x > kMishFlat) return x;
  if (x == -static_cast<T>(INFINITY)) return 0;
  const T e = mish_exponential(x), n = e * (e + 2);
  return x * (n / (n + 2));
}

template <class T>
__device__ __forceinline__ T mish_slope(T x) {
  if (x > kMishFlat) return 1;
  const T e = mish_exponential(x), n = e * (e + 2), d = n + 2;
  return n / d + x * (e / (e + 1)) * (4 * (n + 1) / (d * d));
}

// x - tanh(x): near 0 what tanh's series has beyond x.
template <class T>
__device__ __forceinline__ T tanhshrink_of(T v) {
  if (!(::fabs(v) < static_cast<T>(0.25))) return v - ::tanh(v);
  const T z = v * v;
  T p = static_cast<T>(-443861162.0 / 1856156927625.0);
  p = p * z + static_cast<T>(6404582.0 / 10854718875.0);
  p = p * z - static_cast<T>(929569.0 / 638512875.0);
  p = p * z + static_cast<T>(21844.0 / 6081075.0);
  p = p * z - static_cast<T>(1382.0 / 155925.0);
  p = p * z + static_cast<T>(62.0 / 2835.0);
  p = p * z - static_cast<T>(17.0 / 315.0);
  p = p * z + static_cast<T>(2.0 / 15.0);
  p = p * z - static_cast<T>(1.0 / 3.0);
  return -p * z * v;
}

template <class T>
__device__ __forceinline__ T squared(T x) {
  return x * x;
}

template <class T>
__device__ __forceinline__ T softplus_of(T x) {
  return (x < 0 ? T{0} : x) + ::log1p(::exp(-::fabs(x)));
}

}  // namespace

#define EINKORN_ACTIVATE(name, expression)                                     \
  namespace {                                                                  \
  template <class T>                                                           \
  struct name##_function {                                                     \
    T alpha, beta;                                                             \
    __device__ T operator()(T x) const { return expression; }                  \
  };                                                                           \
  }                                                                            \
  template <class T>                                                           \
  void name(const Activate<T>& k) {                                            \
    using Function = name##_function<T>;                                       \
    for_elements<1>(#name, k.layout, k.out, {k.x}, Function{k.alpha, k.beta}); \
  }                                                                            \
  EINKORN_INSTANTIATE(name, Activate)

EINKORN_ACTIVATE(selu, x < 0 ? ::expm1(x) * alpha : x * beta)
EINKORN_ACTIVATE(celu, x > 0 ? x : ::expm1(x / alpha) * alpha)
EINKORN_ACTIVATE(mish, mish_of(x))
EINKORN_ACTIVATE(hardswish, x <= -3 ? T{0} : (x < 3 ? x * (x + 3) / 6 : x))
EINKORN_ACTIVATE(hardsigmoid, x <= -3 ? T{0} : (x >= 3 ? T{1} : (x + 3) / 6))
EINKORN_ACTIVATE(hardtanh, x < alpha ? alpha : (x > beta ? beta : x))
EINKORN_ACTIVATE(hardshrink, x >= -alpha && x <= alpha ? T{0} : x)
EINKORN_ACTIVATE(softshrink, x > alpha ? x - alpha : (x < -alpha ? x + alpha : (x != x ? x : T{0})))
EINKORN_ACTIVATE(tanhshrink, tanhshrink_of(x))
EINKORN_ACTIVATE(log_sigmoid, (x < 0 ? x : (x != x ? x : T{0})) - ::log1p(::exp(-::fabs(x))))
EINKORN_ACTIVATE(softsign, x / (::fabs(x) + 1))
EINKORN_ACTIVATE(softplus_scaled, x* alpha > beta ? x : softplus_of(x * alpha) / alpha)
EINKORN_ACTIVATE(threshold, x <= alpha ? beta : x)

#define EINKORN_ACTIVATE_GRAD(name, expression)                                        \
  namespace {                                                                          \
  template <class T>                                                                   \
  struct name##_function {                                                             \
    T alpha, beta;                                                                     \
    __device__ T operator()(T g, T x) const { return expression; }                     \
  };                                                                                   \
  }                                                                                    \
  template <class T>                                                                   \
  void name(const ActivateGrad<T>& k) {                                                \
    using Function = name##_function<T>;                                               \
    for_elements<2>(#name, flat(k.size), k.gx, {k.g, k.x}, Function{k.alpha, k.beta}); \
  }                                                                                    \
  EINKORN_INSTANTIATE(name, ActivateGrad)

EINKORN_ACTIVATE_GRAD(selu_grad, x <= 0 ? g * alpha * ::exp(x) : g * beta)
EINKORN_ACTIVATE_GRAD(celu_grad, x <= 0 ? g * ::exp(x / alpha) : g)
EINKORN_ACTIVATE_GRAD(mish_grad, g* mish_slope(x))
EINKORN_ACTIVATE_GRAD(hardswish_grad, x <= -3 ? T{0} : (x < 3 ? g * (x / 3 + static_cast<T>(0.5)) : g))
EINKORN_ACTIVATE_GRAD(hardsigmoid_grad, x > -3 && x < 3 ? g / 6 : T{0})
EINKORN_ACTIVATE_GRAD(hardtanh_grad, x <= alpha || x >= beta ? T{0} : g)
EINKORN_ACTIVATE_GRAD(hardshrink_grad, x >= -alpha && x <= alpha ? T{0} : g)
EINKORN_ACTIVATE_GRAD(tanhshrink_grad, g* squared(::tanh(x)))
EINKORN_ACTIVATE_GRAD(log_sigmoid_grad, g* logistic(-x))
EINKORN_ACTIVATE_GRAD(softsign_grad, g / squared(::fabs(x) + 1))
EINKORN_ACTIVATE_GRAD(softplus_scaled_grad, x* alpha > beta ? g : g * logistic(x * alpha))
EINKORN_ACTIVATE_GRAD(threshold_grad, x <= alpha ? T{0} : g)

}  // namespace einkorn::cuda
