// Elementwise kernels on the GPU: the same list of functions as elementwise.cpp, written for one element.
//
// All of these are bound by memory on a GPU, the transcendental ones too; how elements are walked is in elementwise_cuda.h.

#include <math.h>

#include "kernels/elementwise/elementwise.h"
#include "kernels/elementwise/functions_cuda.h"
#include "kernels/instantiate.h"

namespace einkorn::cuda {

namespace {

template <class T>
__device__ __forceinline__ T normal_cdf(T x) {
  return (::erf(x * static_cast<T>(0.70710678118654752440)) + 1) * static_cast<T>(0.5);
}

template <class T>
__device__ __forceinline__ T gelu_tanh_inner(T x) {  // tanh(sqrt(2/pi) (x + 0.044715 x^3))
  return ::tanh((x * x * x * static_cast<T>(0.044715) + x) * static_cast<T>(0.79788456080286535588));
}

template <class T>
__device__ __forceinline__ T gelu_tanh_slope(T s) {
  const T t = gelu_tanh_inner(s);
  const T flatness = 1 - t * t;  // 0 far out, where the slope of tanh's argument overflows
  const T inner = (s * s * static_cast<T>(3 * 0.044715) + 1) * static_cast<T>(0.79788456080286535588);
  return static_cast<T>(0.5) * (1 + t + (flatness == 0 ? T{0} : s * flatness * inner));
}

// The quotient rounded down, as in elementwise.cpp.
template <class T>
__device__ __forceinline__ T floor_quotient(T a, T b) {
  if (b == 0) return a / b;
  const T rest = ::fmod(a, b);
  T quotient = (a - rest) / b;
  if (rest != 0 && (b < 0) != (rest < 0)) quotient -= 1;
  if (quotient == 0) return ::copysign(T{0}, a / b);
  const T whole = ::floor(quotient);
  return quotient - whole > static_cast<T>(0.5) ? whole + 1 : whole;
}

template <class T>
__device__ __forceinline__ T silu_slope(T s) {
  const T y = logistic(s);
  return y * (1 + s * (1 - y));
}

struct Choose {
  template <class T>
  __device__ T operator()(T condition, T a, T b) const {
    return condition != 0 ? a : b;
  }
};

template <class T>
struct Limit {
  T low, high;
  __device__ T operator()(T x) const {
    x = x < low ? low : x;
    return x > high ? high : x;
  }
};

}  // namespace

EINKORN_UNARY(negative, -x)
EINKORN_UNARY(absolute, ::fabs(x))
EINKORN_UNARY(exp, ::exp(x))
EINKORN_UNARY(log, ::log(x))
EINKORN_UNARY(sqrt, ::sqrt(x))
EINKORN_UNARY(square, x* x)
EINKORN_UNARY(reciprocal, 1 / x)
EINKORN_UNARY(sin, ::sin(x))
EINKORN_UNARY(cos, ::cos(x))
EINKORN_UNARY(sign, x != x ? x : static_cast<T>((x > 0) - (x < 0)))
EINKORN_UNARY(erf, ::erf(x))
EINKORN_UNARY(relu, x < 0 ? T{0} : x)
EINKORN_UNARY(sigmoid, logistic(x))
EINKORN_UNARY(tanh, ::tanh(x))
EINKORN_UNARY(gelu, x* normal_cdf(x))
EINKORN_UNARY(gelu_tanh, x* static_cast<T>(0.5) * (gelu_tanh_inner(x) + 1))
EINKORN_UNARY(silu, x == -static_cast<T>(INFINITY) ? T{0} : x * logistic(x))
EINKORN_UNARY(softplus, (x < 0 ? T{0} : x) + ::log1p(::exp(-::fabs(x))))
EINKORN_UNARY(step, x != x ? x : static_cast<T>(x >= 0))
EINKORN_UNARY(leaky_relu, x > 0 ? x : x * alpha)
EINKORN_UNARY(elu, x < 0 ? ::expm1(x) * alpha : x)

EINKORN_UNARY_GRAD(absolute_grad, s > 0 ? g : (s < 0 ? -g : T{0}))
EINKORN_UNARY_GRAD(relu_grad, s <= 0 ? T{0} : g)
EINKORN_UNARY_GRAD(sigmoid_grad, g*(s * (1 - s)))
EINKORN_UNARY_GRAD(tanh_grad, g * (1 - s * s))
EINKORN_UNARY_GRAD(gelu_grad,
                   g*(normal_cdf(s) + s * ::exp(s * s * static_cast<T>(-0.5)) * static_cast<T>(0.39894228040143267794)))
EINKORN_UNARY_GRAD(gelu_tanh_grad, g* gelu_tanh_slope(s))
EINKORN_UNARY_GRAD(silu_grad, g* silu_slope(s))
EINKORN_UNARY_GRAD(softplus_grad, g* logistic(s))
EINKORN_UNARY_GRAD(leaky_relu_grad, s > 0 ? g : g * alpha)
EINKORN_UNARY_GRAD(elu_grad, s > 0 ? g : g * (::exp(s) * alpha))

EINKORN_BINARY(add, a + b)
EINKORN_BINARY(subtract, a - b)
EINKORN_BINARY(multiply, a* b)
EINKORN_BINARY(divide, a / b)
EINKORN_BINARY(divide_floor, floor_quotient(a, b))
EINKORN_BINARY(divide_trunc, ::trunc(a / b))
EINKORN_BINARY(maximum, (a > b || a != a) ? a : b)
EINKORN_BINARY(minimum, (a < b || a != a) ? a : b)
EINKORN_BINARY(power, ::pow(a, b))
EINKORN_BINARY(greater, static_cast<T>(a > b))
EINKORN_BINARY(greater_equal, static_cast<T>(a >= b))
EINKORN_BINARY(equal, static_cast<T>(a == b))

template <class T>
void where(const Where<T>& k) {
  for_elements<3>("where", k.layout, k.out, {k.condition, k.a, k.b}, Choose{});
}
EINKORN_INSTANTIATE(where, Where)

template <class T>
void clip(const Clip<T>& k) {
  for_elements<1>("clip", k.layout, k.out, {k.x}, Limit<T>{k.low, k.high});
}
EINKORN_INSTANTIATE(clip, Clip)

}  // namespace einkorn::cuda
