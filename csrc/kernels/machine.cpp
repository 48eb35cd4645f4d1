// The two limits of a machine, as loops.
//
// fma_peak keeps twelve chains of multiply-adds in registers. A multiply-add takes four cycles and two can start in
// each, so eight chains keep the units busy; twelve leave slack and fit the sixteen registers of AVX2. Each step needs the
// one before, and the chains start from a number known at run time only: a compiler that saw x = 2 would leave that chain
// out, for 2 * 1/2 + 1 = 2, and the peak would come out too high by an eleventh.
//
// memory_stream copies in long runs. Ordinary stores while the result may stay in a cache, and where out is x, since its
// lines are there already; streamed ones beyond, which is what the fastest copy does on either side (simd/stream.h).

#include "kernels/machine.h"

#include "kernels/instantiate.h"
#include "simd/simd.h"
#include "simd/stream.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr int kChains = 12;
constexpr int64_t kRun = 65536;  // elements of a task

}  // namespace

template <class T>
void fma_peak(const FmaPeak<T>& k) {
  constexpr int kSteps = kMultiplyAddsPerIteration / (kChains * kLanes<T>);
  static_assert(kSteps * kChains * kLanes<T> == kMultiplyAddsPerIteration);
  const double cost = static_cast<double>(k.iterations) * kMultiplyAddsPerIteration / (8 * kLanes<T>);
  parallel_for(k.ws, k.tasks, cost, [&](int64_t task, int) {
    const Vec<T> half = broadcast(static_cast<T>(0.5)), one = broadcast(static_cast<T>(1));
    const T start = static_cast<T>(k.iterations % 2);
    Vec<T> chain[kChains];
    EINKORN_UNROLL for (int c = 0; c < kChains; ++c) chain[c] = broadcast(start + static_cast<T>(c));
    for (int64_t i = 0; i < k.iterations; ++i)
      EINKORN_UNROLL for (int s = 0; s < kSteps; ++s) EINKORN_UNROLL for (int c = 0; c < kChains; ++c) chain[c] =
          chain[c] * half + one;
    EINKORN_UNROLL for (int c = 1; c < kChains; ++c) chain[0] += chain[c];
    k.out[task] = chain[0][0];
  });
}

template <class T>
void memory_stream(const MemoryStream<T>& k) {
  const bool streamed = k.out != k.x && k.size * static_cast<int64_t>(sizeof(T)) >= kStreamFrom;
  parallel_for(k.ws, (k.size + kRun - 1) / kRun, 0.1 * kRun, [&](int64_t task, int) {
    const int64_t begin = task * kRun;
    const int64_t size = k.size - begin < kRun ? k.size - begin : kRun;
    T* out = k.out + begin;
    const T* x = k.x + begin;
    if (!streamed) {
      for_vectors<T>(size, [&](int64_t i, int64_t n) { store_n(out + i, n, load_n(x + i, n)); });
      return;
    }
    int64_t i = unaligned_elements(out, size);
    store_partial(out, i, load_partial(x, i));
    for (; i + kLanes<T> <= size; i += kLanes<T>) stream(out + i, load(x + i));
    store_partial(out + i, size - i, load_partial(x + i, size - i));
    finish_streaming();
  });
}

EINKORN_INSTANTIATE(fma_peak, FmaPeak)
EINKORN_INSTANTIATE(memory_stream, MemoryStream)

}  // namespace einkorn::EINKORN_ISA
