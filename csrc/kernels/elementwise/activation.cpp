// Activations: one line each, in the loops of map.h.
//
// Those with one exponential take it once: with e = exp(x), mish is x n / (n + 2) for n = e (e + 2), and its slope the sum of that
// quotient and of x e 4 (n + 1) / ((n + 2)^2 (1 + e)), so neither a tanh nor a logarithm is computed.

#include "kernels/elementwise/activation.h"

#include <math.h>

#include "kernels/elementwise/map.h"
#include "kernels/instantiate.h"
#include "simd/math.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr int kMishFlat = 20;  // from here on mish(x) is x and its slope 1, in float and nearly so in double

// tanh(log(1 + exp(x))) and its parts.
template <class V>
struct MishParts {
  V e, n;

  EINKORN_INLINE explicit MishParts(V x) : e(exp(x > 40 ? V{} + 40 : x)), n(e * (e + 2)) {}
  EINKORN_INLINE V quotient() const { return n / (n + 2); }
};

template <class V>
EINKORN_INLINE V mish_of(V x) {
  return x * MishParts<V>(x).quotient();
}

template <class V>
EINKORN_INLINE V mish_slope(V x) {
  const MishParts<V> m(x);
  const V w = m.quotient(), d = m.n + 2;
  return w + x * (m.e / (m.e + 1)) * (4 * (m.n + 1) / (d * d));
}

// x - tanh(x): near 0 what tanh's series has beyond x.
EINKORN_INLINE Vec<float> tanhshrink_of(Vec<float> x) {
  const Vec<float> z = x * x;
  Vec<float> p = z * -6.096714166e-3f + 2.0997179e-2f;
  p = p * z + -5.385090958e-2f;
  p = p * z + 1.333276974e-1f;
  p = p * z + -3.333332894e-1f;
  return EINKORN_ISA::absolute(x) < 0.625f ? -(p * z * x) : x - tanh(x);
}

EINKORN_INLINE Vec<double> tanhshrink_of(Vec<double> x) {
  return each_lane(x, [](double v) {
    if (!(::fabs(v) < 0.25)) return v - ::tanh(v);
    // The series of tanh beyond its first term.
    const double z = v * v;
    double p = -443861162.0 / 1856156927625.0;
    p = p * z + 6404582.0 / 10854718875.0;
    p = p * z - 929569.0 / 638512875.0;
    p = p * z + 21844.0 / 6081075.0;
    p = p * z - 1382.0 / 155925.0;
    p = p * z + 62.0 / 2835.0;
    p = p * z - 17.0 / 315.0;
    p = p * z + 2.0 / 15.0;
    p = p * z - 1.0 / 3.0;
    return -p * z * v;
  });
}

template <class V>
EINKORN_INLINE V tanh_squared(V x) {
  const V t = tanh(x);
  return t * t;
}

}  // namespace

#define EINKORN_ACTIVATE(name, cost, expression)                                        \
  template <class T>                                                                    \
  void name(const Activate<T>& k) {                                                     \
    [[maybe_unused]] const T alpha = k.alpha, beta = k.beta;                            \
    map(k.out, k.x, k.layout, k.ws, cost,                                               \
        [&](Vec<T> x) __attribute__((always_inline)) -> Vec<T> { return expression; }); \
  }                                                                                     \
  EINKORN_INSTANTIATE(name, Activate)

EINKORN_ACTIVATE(selu, kCostly, x < 0 ? expm1(x) * alpha : x * beta)
EINKORN_ACTIVATE(celu, kCostly, x > 0 ? x : expm1(x / alpha) * alpha)
EINKORN_ACTIVATE(mish, kCostly, x > kMishFlat ? x : (x == -(T)INFINITY ? Vec<T>{} : mish_of(x)))
EINKORN_ACTIVATE(hardswish, kCheap, x <= -3 ? Vec<T>{} : (x < 3 ? x * (x + 3) / 6 : x))
EINKORN_ACTIVATE(hardsigmoid, kCheap, x <= -3 ? Vec<T>{} : (x >= 3 ? Vec<T>{} + 1 : (x + 3) / 6))
EINKORN_ACTIVATE(hardtanh, kCheap, x < alpha ? broadcast(alpha) : (x > beta ? broadcast(beta) : x))
EINKORN_ACTIVATE(hardshrink, kCheap, (x >= -alpha) & (x <= alpha) ? Vec<T>{} : x)
EINKORN_ACTIVATE(softshrink, kCheap, x > alpha ? x - alpha : (x < -alpha ? x + alpha : (x != x ? x : Vec<T>{})))
EINKORN_ACTIVATE(tanhshrink, kCostly, tanhshrink_of(x))
EINKORN_ACTIVATE(log_sigmoid, kCostly, (x < 0 ? x : (x != x ? x : Vec<T>{})) - log1p(exp(-EINKORN_ISA::absolute(x))))
EINKORN_ACTIVATE(softsign, kCheap, x / (EINKORN_ISA::absolute(x) + 1))
EINKORN_ACTIVATE(softplus_scaled, kCostly, x* alpha > beta ? x : softplus(x * alpha) / alpha)
EINKORN_ACTIVATE(threshold, kCheap, x <= alpha ? broadcast(beta) : x)

#define EINKORN_ACTIVATE_GRAD(name, cost, expression)                                                  \
  template <class T>                                                                                   \
  void name(const ActivateGrad<T>& k) {                                                                \
    [[maybe_unused]] const T alpha = k.alpha, beta = k.beta;                                           \
    map_grad(k.gx, k.g, k.x, k.size, k.ws, cost,                                                       \
             [&](Vec<T> g, Vec<T> x) __attribute__((always_inline)) -> Vec<T> { return expression; }); \
  }                                                                                                    \
  EINKORN_INSTANTIATE(name, ActivateGrad)

EINKORN_ACTIVATE_GRAD(selu_grad, kCostly, x <= 0 ? g * alpha * exp(x) : g * beta)
EINKORN_ACTIVATE_GRAD(celu_grad, kCostly, x <= 0 ? g * exp(x / alpha) : g)
EINKORN_ACTIVATE_GRAD(mish_grad, kCostly, x > kMishFlat ? g : g * mish_slope(x))
EINKORN_ACTIVATE_GRAD(hardswish_grad, kCheap, x <= -3 ? Vec<T>{} : (x < 3 ? g * (x / 3 + (T)0.5) : g))
EINKORN_ACTIVATE_GRAD(hardsigmoid_grad, kCheap, (x > -3) & (x < 3) ? g / 6 : Vec<T>{})
EINKORN_ACTIVATE_GRAD(hardtanh_grad, kCheap, (x <= alpha) | (x >= beta) ? Vec<T>{} : g)
EINKORN_ACTIVATE_GRAD(hardshrink_grad, kCheap, (x >= -alpha) & (x <= alpha) ? Vec<T>{} : g)
EINKORN_ACTIVATE_GRAD(tanhshrink_grad, kCostly, g* tanh_squared(x))
EINKORN_ACTIVATE_GRAD(log_sigmoid_grad, kCostly, g* sigmoid(-x))
EINKORN_ACTIVATE_GRAD(softsign_grad, kCheap, ([&] {
                        const Vec<T> d = EINKORN_ISA::absolute(x) + 1;
                        return g / (d * d);
                      }()))
EINKORN_ACTIVATE_GRAD(softplus_scaled_grad, kCostly, x* alpha > beta ? g : g * sigmoid(x * alpha))
EINKORN_ACTIVATE_GRAD(threshold_grad, kCheap, x <= alpha ? Vec<T>{} : g)

}  // namespace einkorn::EINKORN_ISA
