// Elementwise kernels: one loop for each number of operands, one line for each function.
//
// The loops stand in map.h. Cheap functions are bound by memory, transcendental ones by the 15 to 30 instructions a vector of
// simd/math.h and simd/by_table.h.
//
// 8 MB in the last cache, Zen 4, avx512, 2 threads, ms     copy   relu   add    exp   tanh   gelu   sigmoid    erf
//   exp by the magic number, tanh and erf by polynomials   0.11   0.12  0.32   0.25   0.53   0.38      0.33   0.75
//   exp by roundscale, tanh, erf, gelu by table            0.10   0.12  0.28   0.20   0.30   0.31      0.30   0.32
// Of the cycles of a vector (0.1 ms are 6) exp takes 10, a quotient 6 more, a table 14: half to two thirds of the copy rate is what
// that leaves them, a third is reached by those with a table.

#include "kernels/elementwise/elementwise.h"

#include "kernels/elementwise/map.h"
#include "kernels/instantiate.h"
#include "simd/math.h"

namespace einkorn::EINKORN_ISA {

namespace {

template <class T, class V>
EINKORN_INLINE V gelu_tanh_inner(V x) {  // tanh(sqrt(2/pi) (x + 0.044715 x^3))
  return tanh((x * x * x * (T)0.044715 + x) * (T)0.79788456080286535588);
}

// Derivative of gelu_tanh. Far out tanh is flat before the slope of its argument overflows: 0 times infinity is 0 there.
template <class T, class V>
EINKORN_INLINE V gelu_tanh_slope(V s) {
  const V t = gelu_tanh_inner<T>(s);
  const V flatness = 1 - t * t;
  const V inner = (s * s * (T)(3 * 0.044715) + 1) * (T)0.79788456080286535588;
  return (1 + t + (flatness == 0 ? V{} : s * flatness * inner)) * (T)0.5;
}

// The quotient rounded down, from the remainder, so that it is the floor of the exact quotient where a / b itself is rounded up.
template <class T>
T floor_quotient(T a, T b) {
  if (b == 0) return a / b;
  const T rest = (T)::fmod(a, b);
  T quotient = (a - rest) / b;
  if (rest != 0 && (b < 0) != (rest < 0)) quotient -= 1;
  if (quotient == 0) return (T)::copysign((T)0, a / b);
  const T whole = (T)::floor(quotient);
  return quotient - whole > (T)0.5 ? whole + 1 : whole;
}

// Not inlined, as call_lanes.
template <class T>
__attribute__((noinline)) Vec<T> floor_quotients(Vec<T> a, Vec<T> b) {
  for (int i = 0; i < kLanes<T>; ++i) a[i] = floor_quotient<T>(a[i], b[i]);
  return a;
}

template <class T>
__attribute__((noinline)) Vec<T> powers(Vec<T> a, Vec<T> b) {
  for (int i = 0; i < kLanes<T>; ++i) a[i] = (T)::pow((double)a[i], (double)b[i]);
  return a;
}

}  // namespace

#define EINKORN_UNARY(name, cost, expression)                                           \
  template <class T>                                                                    \
  void name(const Unary<T>& k) {                                                        \
    [[maybe_unused]] const T alpha = k.alpha;                                           \
    map(k.out, k.x, k.layout, k.ws, cost,                                               \
        [&](Vec<T> x) __attribute__((always_inline)) -> Vec<T> { return expression; }); \
  }                                                                                     \
  EINKORN_INSTANTIATE(name, Unary)

EINKORN_UNARY(negative, kCheap, -x)
EINKORN_UNARY(absolute, kCheap, EINKORN_ISA::absolute(x))
EINKORN_UNARY(exp, kCostly, EINKORN_ISA::exp(x))
EINKORN_UNARY(log, kCostly, EINKORN_ISA::log(x))
EINKORN_UNARY(sqrt, kCheap, square_root(x))
EINKORN_UNARY(square, kCheap, x* x)
EINKORN_UNARY(reciprocal, kCheap, 1 / x)
EINKORN_UNARY(sin, 10 * kCostly, call_lanes(x, [](T v) { return (T)::sin((double)v); }))
EINKORN_UNARY(cos, 10 * kCostly, call_lanes(x, [](T v) { return (T)::cos((double)v); }))
EINKORN_UNARY(sign, kCheap, x != x ? x : one_where(Vec<T>{}, x > 0) - one_where(Vec<T>{}, x < 0))
EINKORN_UNARY(erf, kCostly, EINKORN_ISA::erf(x))
EINKORN_UNARY(relu, kCheap, EINKORN_ISA::maximum(Vec<T>{}, x))
EINKORN_UNARY(sigmoid, kCostly, EINKORN_ISA::sigmoid(x))
EINKORN_UNARY(tanh, kCostly, EINKORN_ISA::tanh(x))
EINKORN_UNARY(gelu, kCostly, x* normal_cdf(x))
EINKORN_UNARY(gelu_tanh, kCostly, x*(T)0.5 * (gelu_tanh_inner<T>(x) + 1))
EINKORN_UNARY(silu, kCostly, x == -(T)INFINITY ? Vec<T>{} : x * EINKORN_ISA::sigmoid(x))
EINKORN_UNARY(softplus, kCostly, EINKORN_ISA::softplus(x))
EINKORN_UNARY(step, kCheap, x != x ? x : one_where(Vec<T>{}, x >= 0))
EINKORN_UNARY(leaky_relu, kCheap, x > 0 ? x : x * alpha)
EINKORN_UNARY(elu, kCostly, x < 0 ? expm1(x) * alpha : x)

#define EINKORN_UNARY_GRAD(name, cost, expression)                                                     \
  template <class T>                                                                                   \
  void name(const UnaryGrad<T>& k) {                                                                   \
    [[maybe_unused]] const T alpha = k.alpha;                                                          \
    map_grad(k.gx, k.g, k.s, k.size, k.ws, cost,                                                       \
             [&](Vec<T> g, Vec<T> s) __attribute__((always_inline)) -> Vec<T> { return expression; }); \
  }                                                                                                    \
  EINKORN_INSTANTIATE(name, UnaryGrad)

EINKORN_UNARY_GRAD(absolute_grad, kCheap, s > 0 ? g : (s < 0 ? -g : Vec<T>{}))
EINKORN_UNARY_GRAD(relu_grad, kCheap, s <= 0 ? Vec<T>{} : g)
EINKORN_UNARY_GRAD(sigmoid_grad, kCheap, g*(s * (1 - s)))
EINKORN_UNARY_GRAD(tanh_grad, kCheap, g * (1 - s * s))
EINKORN_UNARY_GRAD(gelu_grad, kCostly,
                   g*(normal_cdf(s) + s * EINKORN_ISA::exp(s * s * (T)-0.5) * (T)0.39894228040143267794))
EINKORN_UNARY_GRAD(gelu_tanh_grad, kCostly, g* gelu_tanh_slope<T>(s))
EINKORN_UNARY_GRAD(silu_grad, kCostly, ([&] {
                     const Vec<T> y = EINKORN_ISA::sigmoid(s);
                     return g * y * (1 + s * (1 - y));
                   }()))
EINKORN_UNARY_GRAD(softplus_grad, kCostly, g* EINKORN_ISA::sigmoid(s))
EINKORN_UNARY_GRAD(leaky_relu_grad, kCheap, s > 0 ? g : g * alpha)
EINKORN_UNARY_GRAD(elu_grad, kCostly, s > 0 ? g : g * (EINKORN_ISA::exp(s) * alpha))

#define EINKORN_BINARY(name, cost, expression)                                                    \
  template <class T>                                                                              \
  void name(const Binary<T>& k) {                                                                 \
    map(k.out, k.a, k.b, k.layout, k.ws, cost,                                                    \
        [&](Vec<T> a, Vec<T> b) __attribute__((always_inline)) -> Vec<T> { return expression; }); \
  }                                                                                               \
  EINKORN_INSTANTIATE(name, Binary)

EINKORN_BINARY(add, kCheap, a + b)
EINKORN_BINARY(subtract, kCheap, a - b)
EINKORN_BINARY(multiply, kCheap, a* b)
EINKORN_BINARY(divide, kCheap, a / b)
EINKORN_BINARY(divide_floor, 20 * kCostly, floor_quotients<T>(a, b))
EINKORN_BINARY(divide_trunc, 5 * kCostly, each_lane(a / b, [](T v) { return (T)::trunc(v); }))
EINKORN_BINARY(maximum, kCheap, (a > b) | (a != a) ? a : b)
EINKORN_BINARY(minimum, kCheap, (a < b) | (a != a) ? a : b)
EINKORN_BINARY(power, 20 * kCostly, powers<T>(a, b))
EINKORN_BINARY(greater, kCheap, one_where(Vec<T>{}, a > b))
EINKORN_BINARY(greater_equal, kCheap, one_where(Vec<T>{}, a >= b))
EINKORN_BINARY(equal, kCheap, one_where(Vec<T>{}, a == b))

template <class T>
void where(const Where<T>& k) {
  const int inner = k.layout.ndim - 1;
  const auto& strides = k.layout.strides;
  for_rows(k.ws, k.layout, kCheap, [&](const int64_t* at, int64_t size) {
    for_vectors<T>(size, [&](int64_t i, int64_t n) {
      const Vec<T> condition = load_strided(k.condition + at[1], strides[1][inner], i, n);
      const Vec<T> a = load_strided(k.a + at[2], strides[2][inner], i, n);
      const Vec<T> b = load_strided(k.b + at[3], strides[3][inner], i, n);
      store_strided(k.out + at[0], strides[0][inner], i, n, condition != 0 ? a : b);
    });
  });
}
EINKORN_INSTANTIATE(where, Where)

template <class T>
void clip(const Clip<T>& k) {
  map(k.out, k.x, k.layout, k.ws, kCheap, [&](Vec<T> x) -> Vec<T> {
    x = x < k.low ? broadcast(k.low) : x;
    return x > k.high ? broadcast(k.high) : x;
  });
}
EINKORN_INSTANTIATE(clip, Clip)

}  // namespace einkorn::EINKORN_ISA
