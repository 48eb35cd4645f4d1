// Random numbers: words of the stream in blocks that stay in the L1 cache, and a loop that makes numbers of them.
//
//   words    | w0 w1 w2 w3 | w4 w5 w6 w7 | ...   philox(), 4 a counter, kBlock at a time
//   float      u0 u1 u2 u3   u4 ...              one word each
//   double     u0    u1      u2    u3 ...        two words each
//
// A task is a stretch of the stream, so any thread can make any part.
//
// versions tried, dropout of 80 MB, float32, avx512, 1 thread: ms    (uniform, which reads nothing: 4.1; copy: 3.6)
//   blocks of 256, 512, 2048 words                      18.8   13.2   10.4   prefetchers lose x during philox()
//   x fetched a block ahead                                -    5.0    6.9
//   out fetched ahead as well                              -    5.3    6.0
// 8 MB, which stay in the L3 cache: uniform 0.38, normal 0.99, dropout 0.44, copy 0.13
// One core of Emerald Rapids, dropout of 64 and 8 MB, ms (a copy 6.8 and 1.1): as above, with a fence after each block 12.8 and 1.34; the
// fence once a task, blocks of 128 words, whose numbers are taken while the next are made, x asked for 1024 ahead into the first
// cache 10.4 and 1.02, into the second 9.1. Words and copy one after the other would take 12.
// There a vector of words takes 17.5 cycles (15.5 by count: shuffles have one port, all else two), 6.1 to 6.3 ms of 64 MB, as long as the
// copy. Lines asked for: none, the first 1, 4, 8 of each page, all, 11.8, 10.8, 10.3, 9.7, 8.9
// ms. Rounds two or four at a time 8.85, eight 10.0; 2, 3, 5, 6 chains 18.2, 18.4, 16.9, 16.5 cycles for the words alone.
// On Zen 4, whose 512-bit instructions take two halves, the words bind: 17.3 cycles for a vector of them (philox.h) and 3 for dropout
// itself, where a copy of 8 MB takes 8. One word an element, as the stream of random.h has it, leaves 40% of the copy rate at most;
// 22% is reached, and at 64 MB, past the caches, 47%.

#include "kernels/random.h"

#include "kernels/instantiate.h"
#include "kernels/normal_pairs.h"
#include "simd/stream.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr int64_t kBlock = 512;        // words made at a time: 2 KB
constexpr int64_t kFewWords = kWords;  // the fewest: what follows them goes on beside the making of the next
constexpr int64_t kAskedAhead = 1024;  // elements
constexpr int64_t kTaskWords = 16384;  // words of a task
constexpr double kWordCost = 0.2;      // ns on one core

// Calls body(first word, words, n) for consecutive blocks of the stream, and ask(first word, n) before the words of a block are made:
// the memory that it will need has that long to come.
template <int64_t kBlock = einkorn::EINKORN_ISA::kBlock, class Ask, class Body>
EINKORN_INLINE void for_words(const Workspace& ws, int64_t total, uint64_t seed, uint64_t offset, double cost,
                              bool streamed, const Ask& ask, const Body& body) {
  const int64_t tasks = (total + kTaskWords - 1) / kTaskWords;
  parallel_for(ws, tasks, cost * static_cast<double>(total < kTaskWords ? total : kTaskWords), [&](int64_t task, int) {
    alignas(kVectorBytes)
        uint32_t words[kBlock + kLanes<float>];  // a vector may be read past a block that is not whole
    const PhiloxKeys keys(seed);
    const int64_t end = (task + 1) * kTaskWords < total ? (task + 1) * kTaskWords : total;
    for (int64_t first = task * kTaskWords; first < end; first += kBlock) {
      const int64_t n = end - first < kBlock ? end - first : kBlock;
      ask(first, n);
      philox(words, n, keys, offset + static_cast<uint64_t>(first) / 4);
      body(first, words, n);
    }
    if (streamed) finish_streaming();  // not after each block: it waits for memory
  });
}

}  // namespace

template <class T>
void uniform(const Uniform<T>& k) {
  const T range = (k.high - k.low) * kStep<T>;
  const bool streamed = k.size * static_cast<int64_t>(sizeof(T)) >= kStreamFrom;
  for_words(
      k.ws, k.size * kWordsEach<T>, k.seed, k.offset, kWordCost, streamed, [](int64_t, int64_t) {},
      [&](int64_t first, const uint32_t* words, int64_t n) {
        write_run(k.out + first / kWordsEach<T>, n / kWordsEach<T>, streamed, [&](int64_t i, int64_t) EINKORN_LAMBDA {
          return draw(words + i * kWordsEach<T>, T{}) * range + k.low;
        });
      });
}

template <class T>
void normal(const Normal<T>& k) {
  constexpr int lanes = kLanes<T>;
  for_words(
      k.ws, k.size * kWordsEach<T>, k.seed, k.offset, 4 * kWordCost, false, [](int64_t, int64_t) {},
      [&](int64_t first, uint32_t* words, int64_t n) {
        T* const out = k.out + first / kWordsEach<T>;
        const int64_t elements = n / kWordsEach<T>;
        for (int64_t i = 0; i < elements; i += 2 * lanes) {
          Vec<T> low = draw(words + i * kWordsEach<T>, T{}), high = draw(words + (i + lanes) * kWordsEach<T>, T{});
          normal_pairs<T>(low, high);
          const int64_t left = elements - i;
          store_n(out + i, left < lanes ? left : lanes, low * k.std + k.mean);
          if (left > lanes) store_n(out + i + lanes, left < 2 * lanes ? left - lanes : lanes, high * k.std + k.mean);
        }
      });
}

template <class T>
void dropout(const Dropout<T>& k) {
  // u >= p says the same of whole numbers: word >> 8 >= ceil(2^24 p)
  const auto threshold = static_cast<int32_t>(::ceil(k.p * 0x1p24));
  const T scale = k.p < 1 ? (T)(1 / (1 - k.p)) : (T)0;
  const bool streamed = k.size * static_cast<int64_t>(sizeof(T)) >= kStreamFrom;
  for_words<kFewWords>(
      k.ws, k.size, k.seed, k.offset, kWordCost, streamed,
      [&](int64_t first, int64_t n) {
        for (int64_t i = 0; i < n; i += 64 / static_cast<int64_t>(sizeof(T))) {
          if (streamed)
            ask_a_page_ahead(k.x + first + i);
          else {
            __builtin_prefetch(k.x + first + kAskedAhead + i);
            ask_to_write(k.out + first + kAskedAhead + i);
          }
        }
      },
      [&](int64_t first, const uint32_t* words, int64_t n) {
        const T* const x = k.x + first;
        write_run(k.out + first, n, streamed, [&](int64_t i, int64_t live) EINKORN_LAMBDA {
          IntVec<T> draws;
          if constexpr (sizeof(T) == 4)
            draws = (IntVec<T>)(load(words + i) >> 8);
          else
            for (int j = 0; j < kLanes<T>; ++j) draws[j] = words[i + j] >> 8;
          return draws >= threshold ? load_n(x + i, live) * scale : Vec<T>{};
        });
      });
}

void permutation(const Permutation& k) {
  for (int64_t i = 0; i < k.size; ++i) k.out[i] = i;
  alignas(kVectorBytes) uint32_t words[kBlock];
  for (int64_t first = 0; first < k.size - 1; first += kBlock) {
    const int64_t n = k.size - 1 - first < kBlock ? k.size - 1 - first : kBlock;
    philox(words, n, k.seed, k.offset + static_cast<uint64_t>(first) / 4);
    // The places are known ahead, so that their cache lines can be on the way.
    for (int64_t w = 0; w < n; ++w)
      words[w] = static_cast<uint32_t>(words[w] * static_cast<uint64_t>(k.size - first - w) >> 32);
    constexpr int64_t kAhead = 16;
    for (int64_t w = 0; w < n; ++w) {
      if (w + kAhead < n) __builtin_prefetch(k.out + words[w + kAhead], 1);
      int64_t* const a = k.out + (k.size - 1 - first - w);
      int64_t* const b = k.out + words[w];
      const int64_t kept = *a;
      *a = *b;
      *b = kept;
    }
  }
}

EINKORN_INSTANTIATE(uniform, Uniform)
EINKORN_INSTANTIATE(normal, Normal)
EINKORN_INSTANTIATE(dropout, Dropout)

}  // namespace einkorn::EINKORN_ISA
