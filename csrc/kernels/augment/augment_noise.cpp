// Noise, from a stretch of the random stream that belongs to the image's number. A task is some blocks of one image.

#include "kernels/augment/pixels.h"
#include "kernels/normal_pairs.h"

namespace einkorn::EINKORN_ISA {

namespace {

using namespace augment;

constexpr int64_t kBlock = 512;   // words made at a time
constexpr int64_t kTask = 16384;  // and by a task

template <class T>
void noisy(const AugmentNoise& k, int64_t image, int64_t from, int64_t to) {
  const int64_t size = k.p.channels * k.p.height * k.p.width;
  const T* const x = static_cast<const T*>(k.p.x) + image * size;
  T* const out = static_cast<T*>(k.p.out) + image * size;
  const float amount = k.amount[image], salt = k.salt[image];
  const uint64_t first = static_cast<uint64_t>(k.rows[image]) << 32;
  const auto finish = [&](int64_t e, int64_t n, Floats v)
                          EINKORN_LAMBDA { store_pixels(out + e, n, k.limit > 0 ? clamped(v, k.limit) : v); };
  alignas(kVectorBytes) uint32_t words[kBlock];
  for (int64_t begin = from; begin < to; begin += kBlock) {
    const int64_t many = to - begin < kBlock ? to - begin : kBlock;
    philox(words, many, k.seed, first + static_cast<uint64_t>(begin) / 4);
    for (int64_t i = 0; i < many; i += 2 * kLane) {
      Floats low = draw(words + i, float{}), high = draw(words + i + kLane, float{});
      if (k.kind == 0) normal_pairs<float>(low, high);
      for (int half = 0; half < 2; ++half) {
        const int64_t e = i + half * kLane, left = many - e, n = left < kLane ? left : kLane;
        if (n <= 0) break;
        const Floats z = half == 0 ? low : high, pixels = load_pixels(x + begin + e, n);
        if (k.kind == 0) {
          finish(begin + e, n, pixels + z * amount);
        } else if (k.kind == 1) {
          finish(begin + e, n, pixels + (z * 0x1p-23f - 1.0f) * amount);
        } else {
          const Floats u = z * 0x1p-24f;
          const Floats changed = u < amount * salt ? broadcast(k.limit) : Floats{};
          finish(begin + e, n, u < amount ? changed : pixels);
        }
      }
    }
  }
}

}  // namespace

void augment_noise(const AugmentNoise& k) {
  const int64_t size = k.p.channels * k.p.height * k.p.width, parts = (size + kTask - 1) / kTask;
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
