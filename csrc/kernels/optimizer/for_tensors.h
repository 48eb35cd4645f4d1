// How the tensors of a launch are cut into tasks. They are laid end to end in thought and cut into chunks of one size, so
// that a network's many small biases and few large weights make equal tasks:
//
//   tensors    |---- weight ----------------------|- bias -|------ weight ------|b|
//   chunks     |            |            |            |            |            |
//
// A chunk begins at a multiple of kGrain elements of its tensor, for tensors are rounded up to that in the layout
// above.

#pragma once

#include "runtime/parallel.h"
#include "simd/simd.h"

namespace einkorn::EINKORN_ISA {

constexpr int64_t kGrain = 64;

// Large problems in large chunks, which the hardware prefetchers like; small ones in enough chunks for all threads.
EINKORN_INLINE int64_t chunk_size(int64_t total) {
  const int64_t chunk = total / 64 / kGrain * kGrain;
  return chunk < 4096 ? 4096 : (chunk > 131072 ? 131072 : chunk);
}

// Asks for what will be read 2.5 KB further on: several streams at once are more than the hardware keeps ahead of.
template <class T>
EINKORN_INLINE void fetch_ahead(const T* p) {
  __builtin_prefetch(reinterpret_cast<const char*>(p) + 2560);
}

// Calls body(tensor, i, n) for each vector of each tensor; `cost` is ns an element on one core.
template <class T, class Tensor, class Body>
EINKORN_INLINE void for_tensors(const Workspace& ws, const Tensor* tensors, int count, double cost, const Body& body) {
  const auto room = [&](int t) { return (tensors[t].size + kGrain - 1) / kGrain * kGrain; };
  int64_t total = 0;
  for (int t = 0; t < count; ++t) total += room(t);
  const int64_t chunk = chunk_size(total), tasks = (total + chunk - 1) / chunk;
  parallel_for(ws, tasks, cost * static_cast<double>(total < chunk ? total : chunk), [&](int64_t task, int) {
    int64_t begin = task * chunk, left = chunk;
    for (int t = 0; t < count && left > 0; ++t) {
      const int64_t end = room(t);
      if (begin < end) {
        const int64_t n = end - begin < left ? end - begin : left;
        const int64_t live = tensors[t].size - begin < n ? tensors[t].size - begin : n;
        for_vectors<T>(live, [&, begin](int64_t i, int64_t lanes) { body(tensors[t], begin + i, lanes); });
        left -= n;
        begin = 0;
      } else {
        begin -= end;
      }
    }
  });
}

}  // namespace einkorn::EINKORN_ISA
