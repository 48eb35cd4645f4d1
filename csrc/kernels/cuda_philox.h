// The words of the CPU's random stream (philox.h), bit for bit, a counter of four words at a time.

#pragma once

#include "kernels/cuda_launch.h"

namespace einkorn::cuda {

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

}  // namespace einkorn::cuda
