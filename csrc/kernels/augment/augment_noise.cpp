// Noise, from a stretch of the random stream that belongs to the image's number. A task is some blocks of one image, or many images of
// a few elements, whose counters then share vectors: numbers that transforms draw for each image are made so.
//
// Two numbers for each of 128 images, with the call from Python, one core of Emerald Rapids: image by image 15.1 us, together 5.2.

#include "kernels/augment/pixels.h"
#include "kernels/normal_pairs.h"

namespace einkorn::EINKORN_ISA {

namespace {

using namespace augment;

constexpr int64_t kBlock = 512;   // words made at a time
constexpr int64_t kTask = 16384;  // and by a task

// Elements [begin, begin + many) of an image, from their words.
template <class T>
EINKORN_INLINE void put(const AugmentNoise& k, int64_t image, int64_t begin, int64_t many, const uint32_t* words) {
  const int64_t size = k.p.channels * k.p.height * k.p.width;
  const T* const x = static_cast<const T*>(k.p.x) + image * size + begin;
  T* const out = static_cast<T*>(k.p.out) + image * size + begin;
  const float amount = k.amount[image], salt = k.salt[image];
  const auto finish = [&](int64_t e, int64_t n, Floats v)
                          EINKORN_LAMBDA { store_pixels(out + e, n, k.limit > 0 ? clamped(v, k.limit) : v); };
  for (int64_t i = 0; i < many; i += 2 * kLane) {
    Floats low = draw(words + i, float{}), high = draw(words + i + kLane, float{});
    if (k.kind == 0) normal_pairs<float>(low, high);
    for (int half = 0; half < 2; ++half) {
      const int64_t e = i + half * kLane, left = many - e, n = left < kLane ? left : kLane;
      if (n <= 0) break;
      const Floats z = half == 0 ? low : high, pixels = load_pixels(x + e, n);
      if (k.kind == 0) {
        finish(e, n, pixels + z * amount);
      } else if (k.kind == 1) {
        finish(e, n, pixels + (z * 0x1p-23f - 1.0f) * amount);
      } else {
        const Floats u = z * 0x1p-24f;
        const Floats changed = u < amount * salt ? broadcast(k.limit) : Floats{};
        finish(e, n, u < amount ? changed : pixels);
      }
    }
  }
}

uint64_t first_counter(const AugmentNoise& k, int64_t image) {
  return static_cast<uint64_t>(k.rows[image]) << 32;
}

template <class T>
void noisy(const AugmentNoise& k, int64_t image, int64_t from, int64_t to) {
  alignas(kVectorBytes) uint32_t words[kBlock];
  for (int64_t begin = from; begin < to; begin += kBlock) {
    const int64_t many = to - begin < kBlock ? to - begin : kBlock;
    philox(words, many, k.seed, first_counter(k, image) + static_cast<uint64_t>(begin) / 4);
    put<T>(k, image, begin, many, words);
  }
}

constexpr int64_t kCounters = kLanes<uint64_t>;  // of a vector

// Images [from, to) of at most a vector of counters: lanes are divided among as many of them as have room.
template <class T>
void few(const AugmentNoise& k, int64_t size, int64_t from, int64_t to) {
  int64_t each = 1;  // counters
  while (4 * each < size) each *= 2;
  const int64_t together = kChains * kCounters / each;
  const PhiloxKeys keys(k.seed);
  alignas(kVectorBytes) uint32_t words[kWords + 2 * kLane] = {};
  for (int64_t image = from; image < to; image += together) {
    Vec<uint64_t> c[kChains];
    for (int64_t i = 0; i < kChains * kCounters; ++i) {
      const int64_t n = image + i / each;
      c[i / kCounters][i % kCounters] = first_counter(k, n < to ? n : to - 1) + static_cast<uint64_t>(i % each);
    }
    philox_chains(c, keys, [&](int i) { return words + i * 4 * kCounters; });
    for (int64_t n = image; n < to && n < image + together; ++n) put<T>(k, n, 0, size, words + (n - image) * 4 * each);
  }
}

}  // namespace

void augment_noise(const AugmentNoise& k) {
  const int64_t size = k.p.channels * k.p.height * k.p.width;
  if (size <= 4 * kCounters) {
    const int64_t tasks = (k.p.images + kTask - 1) / kTask;
    parallel_for(k.ws, tasks, 8.0 * static_cast<double>(k.p.images < kTask ? k.p.images : kTask),
                 [&](int64_t task, int) {
                   const int64_t from = task * kTask, to = from + kTask < k.p.images ? from + kTask : k.p.images;
                   if (k.p.bytes)
                     few<uint8_t>(k, size, from, to);
                   else
                     few<float>(k, size, from, to);
                 });
    return;
  }
  const int64_t parts = (size + kTask - 1) / kTask;
  parallel_for(k.ws, k.p.images * parts, 0.8 * static_cast<double>(size < kTask ? size : kTask),
               [&](int64_t task, int) {
                 const int64_t from = task % parts * kTask, to = from + kTask < size ? from + kTask : size;
                 if (k.p.bytes)
                   noisy<uint8_t>(k, task / parts, from, to);
                 else
                   noisy<float>(k, task / parts, from, to);
               });
}

}  // namespace einkorn::EINKORN_ISA
