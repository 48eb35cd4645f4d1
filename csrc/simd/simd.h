// Vectors: the only place, with math.h beside it, that knows instruction sets.
//
// A kernel body is written once over Vec<T> and compiled once per instruction set, into the namespace EINKORN_ISA (baseline,
// avx2, avx512, neon, ...). Vec<T> is a compiler vector type as wide as the machine's registers, so + - * / < and the ternary work
// lane by lane and a * b + c becomes one fused instruction where there is one. What plain vector types lack is here: loads,
// stores, partial ones for the tail of a row, broadcasts and sums over lanes.
//
//   lanes of float   baseline 4   avx2 8   avx512 16   neon 4
//
// Everything stays inside the ISA namespace: an inline function shared by two instruction sets would be merged by the linker,
// which might keep the copy that the machine cannot run.

#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#endif

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wignored-attributes"
#pragma GCC diagnostic ignored "-Wpsabi"
#endif

#define EINKORN_INLINE inline __attribute__((always_inline))
#define EINKORN_LAMBDA __attribute__((always_inline))  // after a lambda's parameters
#ifdef __CUDACC__
#define EINKORN_UNROLL  // nvcc does not know the pragma, and compiles no kernel of the CPU
#else
#define EINKORN_UNROLL _Pragma("GCC unroll 32")
#endif

namespace einkorn {
inline namespace EINKORN_ISA {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

// The vector types of an element type. `any` is the same vector at any address.
template <class T>
struct VectorOf;

template <>
struct VectorOf<float> {
  typedef float type __attribute__((vector_size(kVectorBytes)));
  typedef float any __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));
  typedef int32_t integer __attribute__((vector_size(kVectorBytes)));
  using lane_integer = int32_t;
};

template <>
struct VectorOf<double> {
  typedef double type __attribute__((vector_size(kVectorBytes)));
  typedef double any __attribute__((vector_size(kVectorBytes), aligned(8), may_alias));
  typedef int64_t integer __attribute__((vector_size(kVectorBytes)));
  using lane_integer = int64_t;
};

template <>
struct VectorOf<int32_t> {
  typedef int32_t type __attribute__((vector_size(kVectorBytes)));
  typedef int32_t any __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));
  typedef int32_t integer __attribute__((vector_size(kVectorBytes)));
  using lane_integer = int32_t;
};

template <class T>
using Vec = typename VectorOf<T>::type;

template <class T>
using IntVec = typename VectorOf<T>::integer;  // as many lanes as Vec<T>; also the type of its comparisons

template <class T>
constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));

// x - 0 is x for every x, and compilers know it: the load and the broadcast become one instruction. x + 0 is not (-0 + 0 is 0)
// and would cost an addition each time, a tenth of a matrix product.
template <class T>
EINKORN_INLINE Vec<T> broadcast(T value) {
  return value - Vec<T>{};
}

template <class T>
EINKORN_INLINE Vec<T> load(const T* p) {
  return *reinterpret_cast<const typename VectorOf<T>::any*>(p);
}

template <class T>
EINKORN_INLINE void store(T* p, Vec<T> v) {
  *reinterpret_cast<typename VectorOf<T>::any*>(p) = v;
}

// Partial load and store of the first n lanes, 0 <= n <= kLanes. Lanes past n read as zero and are not touched in memory.
template <class T>
EINKORN_INLINE Vec<T> load_partial(const T* p, int64_t n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm512_maskz_loadu_epi32((__mmask16)((1u << n) - 1u), p);
  else
    return (Vec<T>)_mm512_maskz_loadu_epi64((__mmask8)((1u << n) - 1u), p);
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4) {
    const __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    return (Vec<T>)_mm256_maskload_epi32(reinterpret_cast<const int*>(p), mask);
  } else {
    const __m256i mask = _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
    return (Vec<T>)_mm256_maskload_epi64(reinterpret_cast<const long long*>(p), mask);
  }
#else
  Vec<T> v = {};
  for (int i = 0; i < kLanes<T>; ++i)
    if (i < n) v[i] = p[i];
  return v;
#endif
}

template <class T>
EINKORN_INLINE void store_partial(T* p, int64_t n, Vec<T> v) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    _mm512_mask_storeu_epi32(p, (__mmask16)((1u << n) - 1u), (__m512i)v);
  else
    _mm512_mask_storeu_epi64(p, (__mmask8)((1u << n) - 1u), (__m512i)v);
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4) {
    const __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    _mm256_maskstore_epi32(reinterpret_cast<int*>(p), mask, (__m256i)v);
  } else {
    const __m256i mask = _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
    _mm256_maskstore_epi64(reinterpret_cast<long long*>(p), mask, (__m256i)v);
  }
#else
  for (int i = 0; i < kLanes<T>; ++i)
    if (i < n) p[i] = v[i];
#endif
}

// Asks for a line of memory that will be written: no other core keeps a copy. (The compiler's own asks to read where it is not
// told of the instruction, which every machine with AVX2 takes.)
EINKORN_INLINE void ask_to_write(const void* p) {
#if defined(__AVX2__)
  asm volatile("prefetchw %0" ::"m"(*static_cast<const char*>(p)));
#else
  __builtin_prefetch(p, 1);
#endif
}

// Lane by lane, NaN as in `a > b ? a : b`: the second operand wins when either is NaN.
template <class V>
EINKORN_INLINE V maximum(V a, V b) {
  return a > b ? a : b;
}

template <class V>
EINKORN_INLINE V minimum(V a, V b) {
  return a < b ? a : b;
}

#if defined(__AVX512F__)
// One instruction each, with the same rule for NaN and zeros; the compiler takes two, by a mask.
EINKORN_INLINE Vec<float> maximum(Vec<float> a, Vec<float> b) {
  return (Vec<float>)_mm512_max_ps((__m512)a, (__m512)b);
}

EINKORN_INLINE Vec<float> minimum(Vec<float> a, Vec<float> b) {
  return (Vec<float>)_mm512_min_ps((__m512)a, (__m512)b);
}
#endif

// Over the lanes of one vector, always in the same order (halving).
template <class T>
EINKORN_INLINE T sum_lanes(Vec<T> v) {
  T lane[kLanes<T>];
  memcpy(lane, &v, sizeof v);
  EINKORN_UNROLL for (int half = kLanes<T> / 2; half > 0; half /= 2) for (int i = 0; i < half; ++i) lane[i] +=
      lane[i + half];
  return lane[0];
}

template <class T>
EINKORN_INLINE T max_lanes(Vec<T> v) {
  T lane[kLanes<T>];
  memcpy(lane, &v, sizeof v);
  EINKORN_UNROLL for (int half = kLanes<T> / 2; half > 0; half /= 2) for (int i = 0; i < half; ++i) lane[i] =
      lane[i] > lane[i + half] ? lane[i] : lane[i + half];
  return lane[0];
}

// Calls body(i, n) over [0, size) in steps of a vector; n is the number of live lanes, short only in the last call.
template <class T, class Body>
EINKORN_INLINE void for_vectors(int64_t size, const Body& body) {
  int64_t i = 0;
  for (; i + kLanes<T> <= size; i += kLanes<T>) body(i, static_cast<int64_t>(kLanes<T>));
  if (i < size) body(i, size - i);
}

// load/store that are whole where `n` says so: inside for_vectors the compiler keeps the two cases apart.
template <class T>
EINKORN_INLINE Vec<T> load_n(const T* p, int64_t n) {
  return n == kLanes<T> ? load(p) : load_partial(p, n);
}

template <class T>
EINKORN_INLINE void store_n(T* p, int64_t n, Vec<T> v) {
  if (n == kLanes<T>)
    store(p, v);
  else
    store_partial(p, n, v);
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
