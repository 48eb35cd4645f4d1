// Mathematical functions: vectors where the function is met in training, the C library lane by lane where it is rare.
//
// Lane by lane float goes through double, so that its results are rounded once.

#include "kernels/elementwise/math.h"

#include <math.h>

#include "kernels/elementwise/map.h"
#include "kernels/instantiate.h"
#include "simd/math.h"

namespace einkorn::EINKORN_ISA {

namespace {

// Whole numbers: to the nearest (0), down (1), up (2), towards 0 (3). The numbers are those of the instructions.
template <int kMode>
EINKORN_INLINE double whole(double v) {
  return kMode == 0 ? ::rint(v) : kMode == 1 ? ::floor(v) : kMode == 2 ? ::ceil(v) : ::trunc(v);
}

template <int kMode>
EINKORN_INLINE Vec<float> rounded(Vec<float> x) {
#if defined(__AVX512F__)
  return (Vec<float>)_mm512_roundscale_ps((__m512)x, kMode | _MM_FROUND_NO_EXC);
#elif defined(__AVX2__)
  return (Vec<float>)_mm256_round_ps((__m256)x, kMode | _MM_FROUND_NO_EXC);
#else
  return each_lane(x, [](float v) { return static_cast<float>(whole<kMode>(v)); });
#endif
}

template <int kMode>
EINKORN_INLINE Vec<double> rounded(Vec<double> x) {
#if defined(__AVX512F__)
  return (Vec<double>)_mm512_roundscale_pd((__m512d)x, kMode | _MM_FROUND_NO_EXC);
#elif defined(__AVX2__)
  return (Vec<double>)_mm256_round_pd((__m256d)x, kMode | _MM_FROUND_NO_EXC);
#else
  return each_lane(x, [](double v) { return whole<kMode>(v); });
#endif
}

// x - trunc(x), with the sign of x; 0 of an infinity's own kind does not exist: NaN.
template <class V>
EINKORN_INLINE V fraction(V x) {
  return x - rounded<3>(x);
}

// 2^x = 2^n 2^r, n = round(x), |r| <= 1/2.
EINKORN_INLINE Vec<float> power_of_two(Vec<float> x) {
  x = x > 129.0f ? broadcast(129.0f) : x;
  x = x < -151.0f ? broadcast(-151.0f) : x;
  const float magic = 12582912.0f;  // as in exp
  const Vec<float> shifted = x + magic;
  const IntVec<float> n = bits<IntVec<float>>(shifted) - bits<IntVec<float>>(broadcast(magic));
  const Vec<float> nearest = shifted - magic;
  const Vec<float> r = x - nearest;
  Vec<float> p = r * 1.546144777e-4f + 1.339086681e-3f;
  p = p * r + 9.618056938e-3f;
  p = p * r + 5.550356954e-2f;
  p = p * r + 2.402265072e-1f;
  p = p * r + 6.931471825e-1f;
  p = p * r + 1.0f;
  return scale_by_power_of_two(p, n, nearest);
}

EINKORN_INLINE Vec<double> power_of_two(Vec<double> x) {
  return call_lanes(x, [](double v) { return ::exp2(v); });
}

// log2(x) = e + log(m) / ln 2, x = 2^e m with m in [sqrt(1/2), sqrt(2)): whole for powers of two.
EINKORN_INLINE Vec<float> log_to_base_2(Vec<float> x) {
  const Vec<float> input = x;
  const IntVec<float> tiny = x < 1.17549435e-38f;
  x = tiny ? x * 8388608.0f : x;
  const Vec<uint32_t> i = bits<Vec<uint32_t>>(x);  // unsigned, which may wrap: x may be negative
  const IntVec<float> e = bits<IntVec<float>>(i - 0x3f3504f3u) >> 23;
  const Vec<float> exponent = __builtin_convertvector(e - (tiny & 23), Vec<float>);
  const Vec<float> y = log(bits<Vec<float>>(i - bits<Vec<uint32_t>>(e << 23))) * 1.44269504f + exponent;
  return (input > 0.0f) & (input < __builtin_inff()) ? y : log(input);
}

EINKORN_INLINE Vec<double> log_to_base_2(Vec<double> x) {
  return call_lanes(x, [](double v) { return ::log2(v); });
}

// log(exp(a) + exp(b)) = the larger + log(1 + exp(-|a - b|)); equal infinities have no difference.
template <class V>
EINKORN_INLINE V log_of_sum(V a, V b) {
  const V large = (a > b) | (a != a) ? a : b;
  return a == b ? a + (decltype(a[0] + 0))0.69314718055994530942 : large + log1p(exp(-absolute(a - b)));
}

template <class T>
inline T remainder_of(T a, T b) {  // of the division rounded down: the sign of b
  const T rest = (T)::fmod(a, b);
  return rest != 0 ? ((b < 0) != (rest < 0) ? rest + b : rest) : (T)::copysign(rest, b);
}

// Not inlined, as call_lanes.
template <class T, class Fn>
__attribute__((noinline)) Vec<T> call_pairs(Vec<T> a, Vec<T> b, const Fn& fn) {
  for (int i = 0; i < kLanes<T>; ++i) a[i] = (T)fn(a[i], b[i]);
  return a;
}

template <class T>
EINKORN_INLINE Vec<T> copysign_of(Vec<T> a, Vec<T> b) {
  for (int i = 0; i < kLanes<T>; ++i) a[i] = (T)::copysign((double)a[i], (double)b[i]);
  return a;
}

// Answers are bytes: the loops are written for single numbers, and the compiler makes vectors of them.
template <class T, class Ask>
EINKORN_INLINE void ask(const Compare<T>& k, const Ask& question) {
  const int inner = k.layout.ndim - 1;
  const int64_t to = k.layout.strides[0][inner], a_step = k.layout.strides[1][inner];
  const int64_t b_step = k.layout.strides[2][inner];
  for_rows(k.ws, k.layout, kCheap, [&](const int64_t* at, int64_t size) {
    uint8_t* const out = k.out + at[0];
    const T* const a = k.a + at[1];
    const T* const b = k.b + at[2];
    if (to == 1 && a_step == 1 && b_step == 1)
      for (int64_t i = 0; i < size; ++i) out[i] = question(a[i], b[i]);
    else
      for (int64_t i = 0; i < size; ++i) out[i * to] = question(a[i * a_step], b[i * b_step]);
  });
}

template <class T, class Ask>
EINKORN_INLINE void ask(const Classify<T>& k, const Ask& question) {
  const int inner = k.layout.ndim - 1;
  const int64_t to = k.layout.strides[0][inner], step = k.layout.strides[1][inner];
  for_rows(k.ws, k.layout, kCheap, [&](const int64_t* at, int64_t size) {
    uint8_t* const out = k.out + at[0];
    const T* const x = k.x + at[1];
    if (to == 1 && step == 1)
      for (int64_t i = 0; i < size; ++i) out[i] = question(x[i]);
    else
      for (int64_t i = 0; i < size; ++i) out[i * to] = question(x[i * step]);
  });
}

}  // namespace

#define EINKORN_MATH_UNARY(name, cost, expression)                                      \
  template <class T>                                                                    \
  void name(const Unary<T>& k) {                                                        \
    map(k.out, k.x, k.layout, k.ws, cost,                                               \
        [&](Vec<T> x) __attribute__((always_inline)) -> Vec<T> { return expression; }); \
  }                                                                                     \
  EINKORN_INSTANTIATE(name, Unary)

// A function of the C library.
#define EINKORN_MATH_LIBRARY(name) \
  EINKORN_MATH_UNARY(name, kSlow, call_lanes(x, [](T v) { return (T)::name((double)v); }))

EINKORN_MATH_UNARY(exp2, kCostly, power_of_two(x))
EINKORN_MATH_UNARY(expm1, kCostly, EINKORN_ISA::expm1(x))
EINKORN_MATH_UNARY(log2, kCostly, log_to_base_2(x))
EINKORN_MATH_UNARY(log1p, kCostly, EINKORN_ISA::log1p(x))
EINKORN_MATH_UNARY(rsqrt, kCheap, 1 / square_root(x))
EINKORN_MATH_UNARY(floor, kCheap, rounded<1>(x))
EINKORN_MATH_UNARY(ceil, kCheap, rounded<2>(x))
EINKORN_MATH_UNARY(round, kCheap, rounded<0>(x))
EINKORN_MATH_UNARY(trunc, kCheap, rounded<3>(x))
EINKORN_MATH_UNARY(frac, kCheap, fraction(x))
EINKORN_MATH_LIBRARY(log10)
EINKORN_MATH_LIBRARY(tan)
EINKORN_MATH_LIBRARY(asin)
EINKORN_MATH_LIBRARY(acos)
EINKORN_MATH_LIBRARY(atan)
EINKORN_MATH_LIBRARY(sinh)
EINKORN_MATH_LIBRARY(cosh)
EINKORN_MATH_LIBRARY(asinh)
EINKORN_MATH_LIBRARY(acosh)
EINKORN_MATH_LIBRARY(atanh)
EINKORN_MATH_LIBRARY(erfc)

#define EINKORN_MATH_BINARY(name, cost, expression)                                               \
  template <class T>                                                                              \
  void name(const Binary<T>& k) {                                                                 \
    map(k.out, k.a, k.b, k.layout, k.ws, cost,                                                    \
        [&](Vec<T> a, Vec<T> b) __attribute__((always_inline)) -> Vec<T> { return expression; }); \
  }                                                                                               \
  EINKORN_INSTANTIATE(name, Binary)

EINKORN_MATH_BINARY(atan2, kSlow, call_pairs<T>(a, b, [](double u, double v) { return ::atan2(u, v); }))
EINKORN_MATH_BINARY(logaddexp, kCostly, log_of_sum(a, b))
EINKORN_MATH_BINARY(fmod, kSlow, call_pairs<T>(a, b, [](T u, T v) { return ::fmod(u, v); }))
EINKORN_MATH_BINARY(remainder, kSlow, call_pairs<T>(a, b, [](T u, T v) { return remainder_of<T>(u, v); }))
EINKORN_MATH_BINARY(hypot, kSlow, call_pairs<T>(a, b, [](double u, double v) { return ::hypot(u, v); }))
EINKORN_MATH_BINARY(copysign, kCheap, copysign_of<T>(a, b))

template <class T>
void compare(const Compare<T>& k) {
  switch (k.kind) {
    case 0:
      return ask(k, [](T a, T b) -> uint8_t { return a == b; });
    case 1:
      return ask(k, [](T a, T b) -> uint8_t { return a != b; });
    case 2:
      return ask(k, [](T a, T b) -> uint8_t { return a < b; });
    case 3:
      return ask(k, [](T a, T b) -> uint8_t { return a <= b; });
    case 4:
      return ask(k, [](T a, T b) -> uint8_t { return a > b; });
    case 5:
      return ask(k, [](T a, T b) -> uint8_t { return a >= b; });
    case 6:
      return ask(k, [](T a, T b) -> uint8_t { return (a != 0) & (b != 0); });
    case 7:
      return ask(k, [](T a, T b) -> uint8_t { return (a != 0) | (b != 0); });
    default:
      return ask(k, [](T a, T b) -> uint8_t { return (a != 0) != (b != 0); });
  }
}
EINKORN_INSTANTIATE(compare, Compare)

template <class T>
void classify(const Classify<T>& k) {
  switch (k.kind) {
    case 0:
      return ask(k, [](T x) -> uint8_t { return x != x; });
    case 1:
      return ask(k, [](T x) -> uint8_t { return (x == (T)INFINITY) | (x == -(T)INFINITY); });
    case 2:
      return ask(k, [](T x) -> uint8_t { return (x < (T)INFINITY) & (x > -(T)INFINITY); });
    case 3:
      return ask(k, [](T x) -> uint8_t { return x != 0; });
    case 4:
      return ask(k, [](T x) -> uint8_t { return x == (T)INFINITY; });
    case 5:
      return ask(k, [](T x) -> uint8_t { return x == -(T)INFINITY; });
    default:
      return ask(k, [](T x) -> uint8_t { return __builtin_signbit(x) != 0; });
  }
}
EINKORN_INSTANTIATE(classify, Classify)

}  // namespace einkorn::EINKORN_ISA
