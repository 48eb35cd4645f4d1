// Stores that go to memory past the caches, for results too large to be there when they are next read.
//
// An ordinary store first reads the line it writes to; a streamed one does not, which saves a third of the traffic of a
// kernel that reads one array and writes another.

#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "kernels/stored.h"
#include "simd/bfloat16.h"

namespace einkorn {
inline namespace EINKORN_ISA {

// From this size on a result does not fit the last cache beside what else is there.
constexpr int64_t kStreamFrom = int64_t{32} << 20;

// Asks for what lies a page beyond p. Who streams results reads arrays as large, from memory, and the processor's own prefetchers
// end with a page: where there is arithmetic beside, the first lines of each next one are waited for.
//
// versions, tanh of 64 MB, float32, one core of Emerald Rapids beside other programs, the least of seven: GB/s (a copy 21.3)
//   nothing asked for; computed into a buffer of 4 KB and streamed from there; ordinary stores      14.4  13.7  12.6
//   asked for 512 B, 1, 2, 4, 8 KB ahead                                                           17.7  19.4  19.5  20.5  20.5
template <class T>
EINKORN_INLINE void ask_a_page_ahead(const T* p) {
  __builtin_prefetch(reinterpret_cast<const char*>(p) + 4096, 0, 2);
}

// p is aligned to the bytes that a vector is kept in.
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

EINKORN_INLINE void stream(bfloat16* p, Vec<float> v) {
  const LaneHalves half = narrowed_lanes(v);
#if defined(__AVX512F__)
  _mm256_stream_si256(reinterpret_cast<__m256i*>(p), (__m256i)half);
#elif defined(__AVX2__)
  _mm_stream_si128(reinterpret_cast<__m128i*>(p), (__m128i)half);
#else
  memcpy(p, &half, sizeof half);
#endif
}

// After the last streamed store of a task: other threads see them all.
EINKORN_INLINE void finish_streaming() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

// Elements from p to the next address that is a multiple of a vector as it is kept, at most n.
template <class T>
EINKORN_INLINE int64_t unaligned_elements(const T* p, int64_t n) {
  constexpr int L = kLanes<Number<T>>;
  const int64_t past = static_cast<int64_t>(reinterpret_cast<uintptr_t>(p) % (L * sizeof(T)) / sizeof(T));
  const int64_t missing = past == 0 ? 0 : L - past;
  return missing < n ? missing : n;
}

// out[i] = value(i, live) for a run; streamed past the caches where `streamed` says so (then finish_streaming ends the task).
template <class T, class Value>
EINKORN_INLINE void write_run(T* out, int64_t n, bool streamed, const Value& value) {
  constexpr int L = kLanes<Number<T>>;
  int64_t i = 0;
  if (streamed) {
    i = unaligned_elements(out, n);
    if (i > 0) store_partial(out, i, value(0, i));
    for (; i + L <= n; i += L) stream(out + i, value(i, static_cast<int64_t>(L)));
  } else {
    for (; i + L <= n; i += L) store(out + i, value(i, static_cast<int64_t>(L)));
  }
  if (i < n) store_partial(out + i, n - i, value(i, n - i));
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
