// Random numbers on the GPU: the words of the CPU's stream, bit for bit, a counter of four words for each thread.
//
//   counter   | w0 w1 w2 w3 |      float   4 numbers, one 16-byte store      dropout: 4 elements of either type
//                                  double  2 numbers, one 16-byte store
//
// Roofline: uniform and normal write 4 bytes an element, dropout reads and writes 8. Ten rounds are 60 integer instructions for
// 4 words, 15 an element: at 3.0 TB/s (0.75 T elements/s) 11 T instructions/s of the 33 T that an H100 issues. 256 MB: 0.09 ms.
//
// uniform and dropout equal the CPU's results to the last bit (one rounding, as a fused multiply-add has it); normal numbers go
// through the device's log, sin and cos and may differ in the last place.

#include <math.h>

#include "kernels/cuda_launch.h"
#include "kernels/instantiate.h"
#include "kernels/random.h"

namespace einkorn::cuda {

namespace {

struct Words {
  uint32_t w[4];
};

// Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011), as kernels/philox.h describes it.
__device__ __forceinline__ Words philox(uint64_t seed, uint64_t counter) {
  uint32_t x0 = static_cast<uint32_t>(counter), x1 = static_cast<uint32_t>(counter >> 32), x2 = 0, x3 = 0;
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9, k1 += 0xBB67AE85) {
    const uint32_t low0 = x0 * 0xD2511F53u, high0 = __umulhi(x0, 0xD2511F53u);
    const uint32_t low1 = x2 * 0xCD9E8D57u, high1 = __umulhi(x2, 0xCD9E8D57u);
    x0 = high1 ^ x1 ^ k0;
    x2 = high0 ^ x3 ^ k1;
    x1 = low1;
    x3 = low0;
  }
  return {{x0, x1, x2, x3}};
}

template <class T>
constexpr int kEach = 16 / sizeof(T);  // numbers of a counter

template <class T>
__device__ constexpr T step() {
  return sizeof(T) == 4 ? static_cast<T>(0x1p-24) : static_cast<T>(0x1p-53);
}

// Number j of a counter, in [0, 2^24) or [0, 2^53).
template <class T>
__device__ __forceinline__ T draw(const Words& words, int j) {
  if constexpr (sizeof(T) == 4)
    return static_cast<T>(words.w[j] >> 8);
  else
    return static_cast<T>((words.w[2 * j] | static_cast<uint64_t>(words.w[2 * j + 1]) << 32) >> 11);
}

template <class T>
struct alignas(16) Pack {
  T v[kEach<T>];
};

// out[counter * kEach ...] = pack, as much of it as there is.
template <class T>
__device__ __forceinline__ void store_pack(T* out, int64_t counter, int64_t size, bool aligned, const Pack<T>& pack) {
  const int64_t first = counter * kEach<T>;
  if (aligned && first + kEach<T> <= size) {
    *reinterpret_cast<Pack<T>*>(out + first) = pack;
    return;
  }
  for (int j = 0; j < kEach<T> && first + j < size; ++j) out[first + j] = pack.v[j];
}

template <class T>
__global__ void uniform_kernel(Uniform<T> k, bool aligned) {
  const T range = (k.high - k.low) * step<T>();
  grid_stride((k.size + kEach<T> - 1) / kEach<T>, [&](int64_t c) {
    const Words words = philox(k.seed, k.offset + static_cast<uint64_t>(c));
    Pack<T> pack;
    for (int j = 0; j < kEach<T>; ++j) pack.v[j] = ::fma(draw<T>(words, j), range, k.low);
    store_pack(k.out, c, k.size, aligned, pack);
  });
}

// sin and cos of a whole turn times u step, u a whole number: reduced exactly to an eighth of a turn around a quarter.
template <class T>
__device__ __forceinline__ void sin_cos_turn(T u, T& sine, T& cosine) {
  constexpr int kBits = sizeof(T) == 4 ? 24 : 53;
  const int64_t turn = static_cast<int64_t>(u);
  const int64_t quarter = (turn + (int64_t{1} << (kBits - 3))) >> (kBits - 2);
  const T a = static_cast<T>(turn - (quarter << (kBits - 2))) * (static_cast<T>(6.283185307179586477) * step<T>());
  const T s = ::sin(a), c = ::cos(a);
  sine = quarter & 1 ? c : s;
  cosine = quarter & 1 ? s : c;
  if (quarter & 2) sine = -sine;
  if ((quarter + 1) & 2) cosine = -cosine;
}

template <class T>
__global__ void normal_kernel(Normal<T> k, bool aligned) {
  grid_stride((k.size + kEach<T> - 1) / kEach<T>, [&](int64_t c) {
    const Words words = philox(k.seed, k.offset + static_cast<uint64_t>(c));
    Pack<T> pack;
    for (int j = 0; j < kEach<T>; j += 2) {
      const T radius = ::sqrt(::log((draw<T>(words, j) + 1) * step<T>()) * -2);
      T sine, cosine;
      sin_cos_turn(draw<T>(words, j + 1), sine, cosine);
      pack.v[j] = ::fma(cosine * radius, k.std, k.mean);
      pack.v[j + 1] = ::fma(sine * radius, k.std, k.mean);
    }
    store_pack(k.out, c, k.size, aligned, pack);
  });
}

template <class T>
__global__ void dropout_kernel(Dropout<T> k, int32_t threshold, T scale, bool aligned) {
  constexpr int kPacks = 4 / kEach<T>;
  grid_stride((k.size + 3) / 4, [&](int64_t c) {
    const Words words = philox(k.seed, k.offset + static_cast<uint64_t>(c));
    if (aligned && (c + 1) * 4 <= k.size) {
      for (int p = 0; p < kPacks; ++p) {
        Pack<T> pack = reinterpret_cast<const Pack<T>*>(k.x)[c * kPacks + p];
        for (int j = 0; j < kEach<T>; ++j)
          pack.v[j] = static_cast<int32_t>(words.w[p * kEach<T> + j] >> 8) >= threshold ? pack.v[j] * scale : T{0};
        reinterpret_cast<Pack<T>*>(k.out)[c * kPacks + p] = pack;
      }
      return;
    }
    for (int j = 0; j < 4 && c * 4 + j < k.size; ++j)
      k.out[c * 4 + j] = static_cast<int32_t>(words.w[j] >> 8) >= threshold ? k.x[c * 4 + j] * scale : T{0};
  });
}

inline bool is_aligned(const void* p) {
  return reinterpret_cast<uintptr_t>(p) % 16 == 0;
}

}  // namespace

template <class T>
void uniform(const Uniform<T>& k) {
  launch_over("uniform", uniform_kernel<T>, (k.size + kEach<T> - 1) / kEach<T>, k, is_aligned(k.out));
}

template <class T>
void normal(const Normal<T>& k) {
  launch_over("normal", normal_kernel<T>, (k.size + kEach<T> - 1) / kEach<T>, k, is_aligned(k.out));
}

template <class T>
void dropout(const Dropout<T>& k) {
  const auto threshold = static_cast<int32_t>(::ceil(k.p * 0x1p24));  // u >= p says the same of whole numbers
  const T scale = k.p < 1 ? static_cast<T>(1 / (1 - k.p)) : T{0};
  launch_over("dropout", dropout_kernel<T>, (k.size + 3) / 4, k, threshold, scale,
              is_aligned(k.out) && is_aligned(k.x));
}

EINKORN_INSTANTIATE(uniform, Uniform)
EINKORN_INSTANTIATE(normal, Normal)
EINKORN_INSTANTIATE(dropout, Dropout)

}  // namespace einkorn::cuda
