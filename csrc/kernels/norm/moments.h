// Means and squared distances from them, without cancellation.
//
// A block of up to kMomentBlock elements is walked twice, the second time in the L1 cache: for its mean, then for the squared
// distances from it. Both walks subtract the block's first element, so that a large mean costs no digits. Blocks are joined in double
// (Chan, Golub and LeVeque 1979):  M2 = M2a + M2b + (mean_b - mean_a)^2 na nb / (na + nb).
//
// Where a block's sums leave the range of T (float: squares of 2e19 and more), they are taken again in double, one by one.

#pragma once

#include "kernels/activation.h"
#include "simd/activate.h"
#include "simd/bfloat16.h"
#include "simd/lanes.h"
#include "simd/simd.h"
#include "simd/stream.h"

namespace einkorn {
inline namespace EINKORN_ISA {

constexpr int64_t kMomentBlock = 4096;

struct Moments {
  double count = 0, mean = 0, squares = 0;

  EINKORN_INLINE void add(double n, double m, double s) {
    const double all = count + n, off = m - mean;
    mean += off * (n / all);
    squares += s + off * off * (count * n / all);
    count = all;
  }
};

// A mean as two numbers of T: (x - high) - low is exact where x is near it.
template <class T>
struct Centre {
  T high, low;

  Centre() = default;
  EINKORN_INLINE explicit Centre(double mean) : high(static_cast<T>(mean)), low(static_cast<T>(mean - high)) {}
  EINKORN_INLINE Vec<T> from(Vec<T> x) const { return (x - high) - low; }
};

// v, as a product rounded for itself: the compiler may not fuse it with a sum. So h - mean(h) is 0 where all h are the same.
template <class V>
EINKORN_INLINE V rounded(V v) {
#if defined(__AVX512F__)
  asm("" : "+v"(v));
#elif defined(__x86_64__)
  asm("" : "+x"(v));
#elif defined(__aarch64__)
  asm("" : "+w"(v));
#endif
  return v;
}

// Lanes past the live ones become 0.
template <class T>
EINKORN_INLINE Vec<T> only(Vec<T> v, int64_t live) {
  return live == kLanes<T> ? v : (first_lanes<T>(live) ? v : Vec<T>{});
}

// Calls body(l, i, live) for the vectors of a run, l one of four running results in turn.
template <class T, class Body>
EINKORN_INLINE void for_four(int64_t n, const Body& body) {
  int64_t i = 0;
  for (; i + 4 * kLanes<T> <= n; i += 4 * kLanes<T>)
    EINKORN_UNROLL for (int l = 0; l < 4; ++l) body(l, i + l * kLanes<T>, static_cast<int64_t>(kLanes<T>));
  for (; i + kLanes<T> <= n; i += kLanes<T>) body(0, i, static_cast<int64_t>(kLanes<T>));
  if (i < n) body(1, i, n - i);
}

template <class T>
EINKORN_INLINE double sum_four(const Vec<T> (&v)[4]) {
  return sum_lanes<T>((v[0] + v[1]) + (v[2] + v[3]));
}

// Calls block(first run, last run, begin, size) for blocks of about kMomentBlock elements of `runs` runs of n.
template <class Block>
EINKORN_INLINE void for_blocks(int64_t runs, int64_t n, const Block& block) {
  const int64_t together = n < kMomentBlock ? kMomentBlock / n : 1;
  for (int64_t r = 0; r < runs; r += together) {
    const int64_t last = r + together < runs ? r + together : runs;
    for (int64_t begin = 0; begin < n; begin += kMomentBlock)
      block(r, last, begin, n - begin < kMomentBlock ? n - begin : kMomentBlock);
  }
}

// Moments of elements whose sums left T's range; one(q, i) is an element.
template <class One>
__attribute__((noinline)) Moments moments_in_double(int64_t first, int64_t last, int64_t begin, int64_t size,
                                                    const One& one) {
  Moments m;
  m.count = static_cast<double>((last - first) * size);
  for (int64_t q = first; q < last; ++q)
    for (int64_t i = begin; i < begin + size; ++i) m.mean += static_cast<double>(one(q, i)) / m.count;
  for (int64_t q = first; q < last; ++q)
    for (int64_t i = begin; i < begin + size; ++i) {
      const double off = static_cast<double>(one(q, i)) - m.mean;
      m.squares += off * off;
    }
  return m;
}

// Adds a block's mean and squared distances, taken in T, to `total`.
template <class T, class One>
EINKORN_INLINE void add_block(Moments& total, double mean, double squares, int64_t first, int64_t last, int64_t begin,
                              int64_t size, const One& one) {
  if (sizeof(T) == 4 && !(__builtin_isfinite(mean) && __builtin_isfinite(squares))) {
    const Moments m = moments_in_double(first, last, begin, size, one);
    total.add(m.count, m.mean, m.squares);
  } else {
    total.add(static_cast<double>((last - first) * size), mean, squares);
  }
}

// Moments of `runs` runs of n elements: first(run, i, live) gives a vector the first time, again(run, i, live) the second;
// one(run, i) an element.
template <class T, class One, class First, class Again>
EINKORN_INLINE Moments moments_of(int64_t runs, int64_t n, const One& one, const First& first, const Again& again) {
  Moments total;
  for_blocks(runs, n, [&](int64_t r, int64_t last, int64_t begin, int64_t size) EINKORN_LAMBDA {
    const T shift = one(r, begin);
    Vec<T> sum[4] = {}, squares[4] = {};
    for (int64_t q = r; q < last; ++q)
      for_four<T>(size, [&](int l, int64_t i, int64_t live)
                            EINKORN_LAMBDA { sum[l] += only<T>(first(q, begin + i, live) - shift, live); });
    const double count = static_cast<double>((last - r) * size), mean = sum_four<T>(sum) / count;
    const T centre = static_cast<T>(mean);
    for (int64_t q = r; q < last; ++q)
      for_four<T>(size, [&](int l, int64_t i, int64_t live) EINKORN_LAMBDA {
        const Vec<T> off = only<T>((again(q, begin + i, live) - shift) - centre, live);
        squares[l] += off * off;
      });
    add_block<T>(total, static_cast<double>(shift) + mean, sum_four<T>(squares), r, last, begin, size, one);
  });
  return total;
}

// The sums of two terms over `runs` runs of n: term(run, i, live, a, b) gives both, 0 in lanes that are not live.
template <class T, class Term>
EINKORN_INLINE void sums_of(int64_t runs, int64_t n, double& first, double& second, const Term& term) {
  for_blocks(runs, n, [&](int64_t r, int64_t last, int64_t begin, int64_t size) EINKORN_LAMBDA {
    Vec<T> a[4] = {}, b[4] = {};
    for (int64_t q = r; q < last; ++q)
      for_four<T>(size, [&](int l, int64_t i, int64_t live) EINKORN_LAMBDA {
        Vec<T> one, two;
        term(q, begin + i, live, one, two);
        a[l] += one;
        b[l] += two;
      });
    first += sum_four<T>(a);
    second += sum_four<T>(b);
  });
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
