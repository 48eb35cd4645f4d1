// A tile of a product on tensor cores, for gemm_pairs_cuda.h, matmul_bf16.cu and matmul_int8.cu: kProductTile x kProductTile of C by
// kProductWords words of k, two bfloat16 or four bytes each.
//
//   shared memory    | A | kProductTile x kProductWords |   | B | kProductTile x kProductWords |     rows of A and columns of B along k,
//                    kProductPitch words apart: the lanes of a warp read 32 banks
//   warp             8 of them, 4 x 2: 16 rows x 32 columns, 4 products of 16 x 8 for each 8 words of k

#pragma once

#include "kernels/cuda_mma.h"

namespace einkorn::cuda {

constexpr int kProductTile = 64, kProductWords = 16, kProductPitch = kProductWords + 4;
constexpr int kPairsDepth = 2 * kProductWords, kQuadsDepth = 4 * kProductWords;  // numbers of k
using TileWords = uint32_t[kProductTile][kProductPitch];

// What a word holds follows from what it is summed in.
__device__ __forceinline__ void multiply_words(Sums& sums, const PairsA& a, const PairsB& b) {
  multiply_pairs(sums, a, b);
}
__device__ __forceinline__ void multiply_words(Counts& sums, const PairsA& a, const PairsB& b) {
  multiply_quads(sums, a, b);
}

// What a thread of a block of 256 has of the tile: Sums of bfloat16, or Counts of bytes.
template <class Sum>
struct TilePart {
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int row = lane / 4, pair = lane % 4, first_row = warp / 2 * 16, first_column = warp % 2 * 32;
  Sum sums[4] = {};

  __device__ __forceinline__ void multiply(const TileWords& a_words, const TileWords& b_words) {
#pragma unroll
    for (int w = 0; w < kProductWords; w += 8) {
      const auto& upper = a_words[first_row + row];
      const auto& lower = a_words[first_row + row + 8];
      const PairsA left = {{upper[w + pair], lower[w + pair], upper[w + pair + 4], lower[w + pair + 4]}};
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        const auto& column = b_words[first_column + c * 8 + row];
        multiply_words(sums[c], left, PairsB{{column[w + pair], column[w + pair + 4]}});
      }
    }
  }

  // body(i, j, sum) for the thread's elements of the tile that begins at (i0, j0). Places are added up in 64 bits, so that they share their
  // beginnings: summed in 32 first, products of bytes took 118 registers for 92.
  template <class Body>
  __device__ __forceinline__ void for_sums(int64_t i0, int64_t j0, const Body& body) const {
#pragma unroll
    for (int c = 0; c < 4; ++c)
#pragma unroll
      for (int e = 0; e < 4; ++e)
        body(i0 + first_row + row + e / 2 * 8, j0 + first_column + c * 8 + pair * 2 + e % 2, sums[c].of[e]);
  }
};

}  // namespace einkorn::cuda
