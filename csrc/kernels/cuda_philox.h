// The words of the CPU's random stream (philox.h), bit for bit, a counter of four words at a time, and numbers made of them (random.h).

#pragma once

#include <math.h>

#include "kernels/cuda_launch.h"
#include "kernels/scalar.h"

namespace einkorn::cuda {

struct Words {
  uint32_t w[4];
};

// Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011), as kernels/philox.h describes it.
EINKORN_SCALAR Words philox(uint64_t seed, uint64_t counter) {
  uint32_t x0 = static_cast<uint32_t>(counter), x1 = static_cast<uint32_t>(counter >> 32), x2 = 0, x3 = 0;
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9, k1 += 0xBB67AE85) {
    const uint64_t first = static_cast<uint64_t>(x0) * 0xD2511F53u, second = static_cast<uint64_t>(x2) * 0xCD9E8D57u;
    x0 = static_cast<uint32_t>(second >> 32) ^ x1 ^ k0;
    x2 = static_cast<uint32_t>(first >> 32) ^ x3 ^ k1;
    x1 = static_cast<uint32_t>(second);
    x3 = static_cast<uint32_t>(first);
  }
  return {{x0, x1, x2, x3}};
}

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

}  // namespace einkorn::cuda
