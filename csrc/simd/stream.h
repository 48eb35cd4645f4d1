// Stores that go to memory past the caches, for results too large to be there when they are next read.
//
// An ordinary store first reads the line it writes to; a streamed one does not, which saves a third of the traffic of a
// kernel that reads one array and writes another.

#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "simd/simd.h"

namespace einkorn {
inline namespace EINKORN_ISA {

// From this size on a result does not fit the last cache beside what else is there.
constexpr int64_t kStreamFrom = int64_t{32} << 20;

// p is aligned to a whole vector.
template <class T>
EINKORN_INLINE void stream(T* p, Vec<T> v) {
#if defined(__AVX512F__)
  _mm512_stream_si512(reinterpret_cast<__m512i*>(p), (__m512i)v);
#elif defined(__AVX2__)
  _mm256_stream_si256(reinterpret_cast<__m256i*>(p), (__m256i)v);
#elif defined(__x86_64__)
  _mm_stream_si128(reinterpret_cast<__m128i*>(p), (__m128i)v);
#else
  store(p, v);
#endif
}

// After the last streamed store of a task: other threads see them all.
EINKORN_INLINE void finish_streaming() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

// Elements from p to the next address that is a multiple of a vector, at most n.
template <class T>
EINKORN_INLINE int64_t unaligned_elements(const T* p, int64_t n) {
  const int64_t past = static_cast<int64_t>(reinterpret_cast<uintptr_t>(p) % kVectorBytes / sizeof(T));
  const int64_t missing = past == 0 ? 0 : kLanes<T> - past;
  return missing < n ? missing : n;
}

// out[i] = value(i, live) for a run; streamed past the caches where `streamed` says so (then finish_streaming ends the task).
template <class T, class Value>
EINKORN_INLINE void write_run(T* out, int64_t n, bool streamed, const Value& value) {
  int64_t i = 0;
  if (streamed) {
    i = unaligned_elements(out, n);
    if (i > 0) store_partial(out, i, value(0, i));
    for (; i + kLanes<T> <= n; i += kLanes<T>) stream(out + i, value(i, static_cast<int64_t>(kLanes<T>)));
  } else {
    for (; i + kLanes<T> <= n; i += kLanes<T>) store(out + i, value(i, static_cast<int64_t>(kLanes<T>)));
  }
  if (i < n) store_partial(out + i, n - i, value(i, n - i));
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
