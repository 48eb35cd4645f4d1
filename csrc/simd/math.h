// Vector math on Vec<T>: exp, log, tanh, sigmoid, erf, sqrt expm1, log1p, and a few built from them.
//
// float: polynomials of our own fit (Chebyshev, on the reduced range), within 2 ulp over the whole range, with IEEE results at
// infinities, NaN, zero and in the subnormal range. double is the type in which gradients are checked, not a fast path: there
// each lane calls the C library.

#pragma once

#include <math.h>

#include "simd/by_table.h"
#include "simd/integer.h"

namespace einkorn {
inline namespace EINKORN_ISA {

// Reinterpret the bits of one vector as another of the same size.
template <class To, class From>
EINKORN_INLINE To bits(From v) {
  static_assert(sizeof(To) == sizeof(From));
  return (To)v;
}

template <class Fn>
EINKORN_INLINE Vec<double> each_lane(Vec<double> x, const Fn& fn) {
  for (int i = 0; i < kLanes<double>; ++i) x[i] = fn(x[i]);
  return x;
}

template <class Fn>
EINKORN_INLINE Vec<float> each_lane(Vec<float> x, const Fn& fn) {
  for (int i = 0; i < kLanes<float>; ++i) x[i] = fn(x[i]);
  return x;
}

// A function of the C library for each lane. A function of its own: beside the calls it makes, one more is nothing, and code that is
// inlined where vectors are taken (whole, in part, with gaps) would be made of them.
template <class Fn>
__attribute__((noinline)) Vec<double> call_lanes(Vec<double> x, Fn fn) {
  return each_lane(x, fn);
}

template <class Fn>
__attribute__((noinline)) Vec<float> call_lanes(Vec<float> x, Fn fn) {
  return each_lane(x, fn);
}

EINKORN_INLINE Vec<float> absolute(Vec<float> x) {
  return bits<Vec<float>>(bits<IntVec<float>>(x) & INT32_MAX);
}

EINKORN_INLINE Vec<double> absolute(Vec<double> x) {
  return bits<Vec<double>>(bits<IntVec<double>>(x) & INT64_MAX);
}

EINKORN_INLINE Vec<float> square_root(Vec<float> x) {
#if defined(__AVX512F__)
  return (Vec<float>)_mm512_sqrt_ps((__m512)x);
#elif defined(__AVX2__)
  return (Vec<float>)_mm256_sqrt_ps((__m256)x);
#else
  return each_lane(x, [](float v) { return __builtin_sqrtf(v); });
#endif
}

EINKORN_INLINE Vec<double> square_root(Vec<double> x) {
#if defined(__AVX512F__)
  return (Vec<double>)_mm512_sqrt_pd((__m512d)x);
#elif defined(__AVX2__)
  return (Vec<double>)_mm256_sqrt_pd((__m256d)x);
#endif
  return each_lane(x, [](double v) { return __builtin_sqrt(v); });
}

// 1 / sqrt(x) of positive numbers to about two units in the last place: the machine's estimate and a step of Newton's.
EINKORN_INLINE Vec<float> reciprocal_root(Vec<float> x) {
#if defined(__AVX2__)
#if defined(__AVX512F__)
  const Vec<float> y = (Vec<float>)_mm512_rsqrt14_ps((__m512)x);
#else
  const Vec<float> y = (Vec<float>)_mm256_rsqrt_ps((__m256)x);
#endif
  return y * (1.5f - 0.5f * x * y * y);
#else
  return 1.0f / square_root(x);
#endif
}

// x * 2^n for whole n in [-300, 300], given as integers and as floats. Results may be subnormal or overflow as they should:
// by one instruction, or in two steps.
EINKORN_INLINE Vec<float> scale_by_power_of_two(Vec<float> x, IntVec<float> n, Vec<float> whole) {
#if defined(__AVX512F__)
  (void)n;
  return (Vec<float>)_mm512_scalef_ps((__m512)x, (__m512)whole);
#else
  (void)whole;
  const IntVec<float> half = n >> 1;
  x *= bits<Vec<float>>((half + 127) << 23);
  return x * bits<Vec<float>>((n - half + 127) << 23);
#endif
}

#if defined(__AVX512F__)
EINKORN_INLINE Vec<float> round_to_whole(Vec<float> x) {
  return (Vec<float>)_mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
#endif

// exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln(2)/2, exp(r) = 1 + r + r^2 P(r). NaN passes the bounds and goes all the
// way through the polynomial.
EINKORN_INLINE Vec<float> exp(Vec<float> x) {
  x = minimum(broadcast(89.0f), x);
  x = maximum(broadcast(-105.0f), x);
#if defined(__AVX512F__)
  const Vec<float> whole = round_to_whole(x * 1.44269504f);
  const IntVec<float> n = {};
#else
  const float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number, held in the low bits
  const Vec<float> shifted = x * 1.44269504f + magic;
  const IntVec<float> n = bits<IntVec<float>>(shifted) - bits<IntVec<float>>(broadcast(magic));
  const Vec<float> whole = shifted - magic;
#endif
  Vec<float> r = x - whole * 0.693359375f;
  r = r - whole * -2.12194440e-4f;
  Vec<float> p = r * 1.392625083e-3f + 8.363232884e-3f;
  p = p * r + 4.166655421e-2f;
  p = p * r + 1.666657667e-1f;
  p = p * r + 5.0e-1f;
#if defined(__AVX512F__)
  p = (p * r + 1.0f) * r + 1.0f;
#else
  p = p * (r * r) + r + 1.0f;
#endif
  return scale_by_power_of_two(p, n, whole);
}

EINKORN_INLINE Vec<double> exp(Vec<double> x) {
  return call_lanes(x, [](double v) { return ::exp(v); });
}

// exp(x) - 1 without its cancellation near 0: with exp's reduction, 2^n (exp(r) - 1) + (2^n - 1). n is taken one down, so that 2^n
// stays finite where the result does.
EINKORN_INLINE Vec<float> expm1(Vec<float> x) {
  const Vec<float> input = x;
  x = minimum(broadcast(89.0f), x);
  x = maximum(broadcast(-30.0f), x);
  const float magic = 12582912.0f;
  const Vec<float> shifted = x * 1.44269504f + magic;
  const IntVec<float> n = bits<IntVec<float>>(shifted) - bits<IntVec<float>>(broadcast(magic));
  const Vec<float> whole = shifted - magic;
  Vec<float> r = x - whole * 0.693359375f;
  r = r - whole * -2.12194440e-4f;
  Vec<float> p = r * 1.392625083e-3f + 8.363232884e-3f;
  p = p * r + 4.166655421e-2f;
  p = p * r + 1.666657667e-1f;
  p = p * r + 5.0e-1f;
  p = p * (r * r) + r;
  const Vec<float> half = bits<Vec<float>>((n + 126) << 23);
  const Vec<float> y = (p * half + (half - 0.5f)) * 2.0f;
  return input == 0.0f ? input : (input != input ? input : y);
}

EINKORN_INLINE Vec<double> expm1(Vec<double> x) {
  return call_lanes(x, [](double v) { return ::expm1(v); });
}

// 2^x for x below 127 (NaN stays NaN), at little more than half the price of exp: weights of a softmax, whose logarithms are taken to
// base 2. With AVX-512 x = floor(x) + r, and of the power of two that is the sum's first part one instruction makes the floor itself:
// there -inf needs no bound either. Else 2^x = 2^n (1 + r P(r)), n = round(x), |r| <= 1/2.
EINKORN_INLINE Vec<float> exp2_nonpositive(Vec<float> x) {
#if defined(__AVX512F__)
  const Vec<float> r = (Vec<float>)_mm512_reduce_ps((__m512)x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  Vec<float> p = r * 2.16129175e-4f + 1.24678458e-3f;
  p = p * r + 9.67545155e-3f;
  p = p * r + 5.54852821e-2f;
  p = p * r + 2.40229309e-1f;
  p = p * r + 6.93147063e-1f;
  p = p * r + 1.0f;
  return (Vec<float>)_mm512_scalef_ps((__m512)p, (__m512)x);
#else
  x = maximum(broadcast(-151.0f), x);
  const float magic = 12582912.0f;  // as in exp
  const Vec<float> shifted = x + magic;
  const IntVec<float> n = bits<IntVec<float>>(shifted) - bits<IntVec<float>>(broadcast(magic));
  const Vec<float> whole = shifted - magic;
  const Vec<float> r = x - whole;
  Vec<float> p = r * 1.546144777e-4f + 1.339086681e-3f;
  p = p * r + 9.618056938e-3f;
  p = p * r + 5.550356954e-2f;
  p = p * r + 2.402265072e-1f;
  p = p * r + 6.931471825e-1f;
  p = p * r + 1.0f;
  return scale_by_power_of_two(p, n, whole);
#endif
}

EINKORN_INLINE Vec<double> exp2_nonpositive(Vec<double> x) {
  return call_lanes(x, [](double v) { return ::exp2(v); });
}

// log(x) = e ln 2 + log(1 + f), 1 + f in [sqrt(1/2), sqrt(2)), log(1 + f) = f - f^2/2 + f^3 P(f).
EINKORN_INLINE Vec<float> log(Vec<float> x) {
  const Vec<float> input = x;
  const IntVec<float> tiny = x < 1.17549435e-38f;
  x = tiny ? x * 8388608.0f : x;                   // subnormals: lift by 2^23, take it off the exponent below
  const Vec<uint32_t> i = bits<Vec<uint32_t>>(x);  // unsigned, because below zero the difference wraps round
  const IntVec<float> e = bits<IntVec<float>>(i - 0x3f3504f3u) >> 23;
  const Vec<float> f = bits<Vec<float>>(i - bits<Vec<uint32_t>>(e << 23)) - 1.0f;
  const Vec<float> exponent = __builtin_convertvector(e - (tiny & 23), Vec<float>);
  Vec<float> p = f * -7.902743772e-2f + 1.262231985e-1f;
  p = p * f + -1.299818376e-1f;
  p = p * f + 1.421449592e-1f;
  p = p * f + -1.664128146e-1f;
  p = p * f + 2.000104509e-1f;
  p = p * f + -2.500030642e-1f;
  p = p * f + 3.333333073e-1f;
  const Vec<float> f2 = f * f;
  Vec<float> y = p * f2 * f + exponent * -2.12194440e-4f;
  y = y - f2 * 0.5f + f;
  y = y + exponent * 0.693359375f;
  const float inf = __builtin_inff();
  y = input == inf ? input : y;
  y = input == 0.0f ? broadcast(-inf) : y;
  return input >= 0.0f ? y : broadcast(__builtin_nanf(""));
}

EINKORN_INLINE Vec<double> log(Vec<double> x) {
  return call_lanes(x, [](double v) { return ::log(v); });
}

// log(1 + y), exact for small y: the rounding of 1 + y is divided out again.
EINKORN_INLINE Vec<float> log1p(Vec<float> y) {
  const Vec<float> u = y + 1.0f;
  const Vec<float> d = u - 1.0f;
  const Vec<float> corrected = log(u) * (y / d);
  return (d == 0.0f) | (u == __builtin_inff()) ? y : corrected;
}

EINKORN_INLINE Vec<double> log1p(Vec<double> y) {
  return each_lane(y, [](double v) { return ::log1p(v); });
}

// By table with AVX-512. Else an odd polynomial near zero, 1 - 2 / (exp(2|x|) + 1) beyond.
EINKORN_INLINE Vec<float> tanh(Vec<float> x) {
#if defined(__AVX512F__)
  return tanh_by_table(x);
#else
  const Vec<float> a = absolute(x);
  const Vec<float> z = x * x;
  Vec<float> p = z * -6.096714166e-3f + 2.0997179e-2f;
  p = p * z + -5.385090958e-2f;
  p = p * z + 1.333276974e-1f;
  p = p * z + -3.333332894e-1f;
  const Vec<float> small = p * z * a + a;
  const Vec<float> large = 1.0f - 2.0f / (exp(a + a) + 1.0f);
  const IntVec<float> sign = bits<IntVec<float>>(x) & INT32_MIN;  // of -0 too
  return bits<Vec<float>>(bits<IntVec<float>>(a < 0.625f ? small : large) | sign);
#endif
}

EINKORN_INLINE Vec<double> tanh(Vec<double> x) {
  return call_lanes(x, [](double v) { return ::tanh(v); });
}

template <class V>
EINKORN_INLINE V sigmoid(V x) {
  return 1 / (exp(-x) + 1);
}

// erf: by table with AVX-512. Else an odd polynomial in [-1, 1]; beyond, 1 - exp(-x^2) Q(1 / (1 + |x|)), Q fit to the scaled complement.
EINKORN_INLINE Vec<float> erf(Vec<float> x) {
#if defined(__AVX512F__)
  return erf_by_table(x);
#else
  const Vec<float> a = absolute(x);
  const Vec<float> z = x * x;
  Vec<float> p = z * 7.875875063e-5f + -8.016864287e-4f;
  p = p * z + 5.189087423e-3f;
  p = p * z + -2.685421201e-2f;
  p = p * z + 1.128359472e-1f;
  p = p * z + -3.761262667e-1f;
  p = p * z + 1.128379166f;
  const Vec<float> small = p * x;
  const Vec<float> u = 1.0f / (minimum(a, broadcast(4.2f)) + 1.0f);
  Vec<float> q = u * -6.418828938e-1f + 1.399524483f;
  q = q * u + -7.193111237e-1f;
  q = q * u + -5.717648517e-1f;
  q = q * u + 4.074733406e-1f;
  q = q * u + 5.38936455e-1f;
  q = q * u + 5.667678101e-1f;
  q = q * u + -1.076968431e-4f;
  const Vec<float> large = 1.0f - exp(-z) * q;
  return a < 1.0f ? small : (x < 0.0f ? -large : (x != x ? x : large));
#endif
}

EINKORN_INLINE Vec<double> erf(Vec<double> x) {
  return call_lanes(x, [](double v) { return ::erf(v); });
}

// The normal distribution function, by table with AVX-512. Else 0.5 (1 + erf(x / sqrt 2)), for gelu: 0.5 / P(|x|)^8 below 0 and 1 less that above, P of
// our own fit; one quotient takes the place of an exponential, two quotients and two polynomials, and far below 0 the digits of
// a small probability stay, where 1 + erf has none.
//
// versions tried, gelu of 4 MB, float32, avx512, 1 thread                                       ms    error (2^-23)
//   1 + erf                                                                                   0.81              0.8
//   0.5 + x P(x^2) / Q(x^2), degrees 5 and 5, and 0 and 1 beyond 5.4                          0.34              5.6
//   0.5 / P(|x|)^8, degree 10                                                                 0.38              1.1
EINKORN_INLINE Vec<float> normal_cdf(Vec<float> x) {
#if defined(__AVX512F__)
  return normal_cdf_by_table(x);
#else
  const Vec<float> a = absolute(x);
  Vec<float> p = a * 1.150001375e-07f + -1.635806893e-06f;
  p = p * a + 1.217251706e-05f;
  p = p * a + -4.265249498e-05f;
  p = p * a + 1.324805810e-04f;
  p = p * a + 1.012625485e-04f;
  p = p * a + 9.510478686e-04f;
  p = p * a + 8.628103027e-03f;
  p = p * a + 4.477306912e-02f;
  p = p * a + 9.973475524e-02f;
  p = p * a + 1.0f;
  const Vec<float> p2 = p * p, p4 = p2 * p2;
  const Vec<float> tail = 0.5f / (p4 * p4);
  return x < 0.0f ? tail : 1.0f - tail;
#endif
}

EINKORN_INLINE Vec<double> normal_cdf(Vec<double> x) {
  return (erf(x * 0.70710678118654752440) + 1) * 0.5;
}

// log(1 + exp(x)) without overflow.
template <class V>
EINKORN_INLINE V softplus(V x) {
  return (x < 0 ? V{} : x) + log1p(exp(-absolute(x)));
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
