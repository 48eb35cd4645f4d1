// A tile of a product of bfloat16 on tensor cores, for gemm_pairs_cuda.h and matmul_bf16.cu: kPairsTile x kPairsTile of C by kPairsDepth of k.
//
//   shared memory    | A | kPairsTile x kPairsDepth |   | B | kPairsTile x kPairsDepth |     rows of A and columns of B along k, two numbers a
//                    word, kPairsPitch words apart: the lanes of a warp read 32 banks
//   warp             8 of them, 4 x 2: 16 rows x 32 columns, 4 products of 16 x 8 for each 16 of k

#pragma once

#include "kernels/cuda_mma.h"

namespace einkorn::cuda {

constexpr int kPairsTile = 64, kPairsDepth = 32, kPairsPitch = kPairsDepth / 2 + 4;  // pitch in words
using PairsWords = uint32_t[kPairsTile][kPairsPitch];

// What a thread of a block of 256 has of the tile.
struct PairsPart {
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int row = lane / 4, pair = lane % 4, first_row = warp / 2 * 16, first_column = warp % 2 * 32;
  Sums sums[4] = {};

  __device__ __forceinline__ void multiply(const PairsWords& a_words, const PairsWords& b_words) {
#pragma unroll
    for (int w = 0; w < kPairsDepth / 2; w += 8) {  // 16 of k
      const auto& upper = a_words[first_row + row];
      const auto& lower = a_words[first_row + row + 8];
      const PairsA left = {{upper[w + pair], lower[w + pair], upper[w + pair + 4], lower[w + pair + 4]}};
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        const auto& column = b_words[first_column + c * 8 + row];
        multiply_pairs(sums[c], left, PairsB{{column[w + pair], column[w + pair + 4]}});
      }
    }
  }

  // body(i, j, sum) for the thread's elements of the tile.
  template <class Body>
  __device__ __forceinline__ void for_sums(const Body& body) const {
#pragma unroll
    for (int c = 0; c < 4; ++c)
#pragma unroll
      for (int e = 0; e < 4; ++e)
        body(first_row + row + e / 2 * 8, first_column + c * 8 + pair * 2 + e % 2, sums[c].of[e]);
  }
};

}  // namespace einkorn::cuda
