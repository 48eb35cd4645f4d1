// Products of small matrices by the tensor cores, a warp together, behind functions that have a plain meaning on the host device.
//
//   multiply_pairs   D[16][8] += A[16][16] B[16][8], bfloat16 operands, float sums: mma.sync.m16n8k16, from compute capability 8.0 on
//   multiply_quads   D[16][8] += A[16][32] B[32][8], bytes without and with a sign, int32 sums: mma.sync.m16n8k32, likewise
//
//      lane = 4 row + pair       A   row, row + 8   x   columns 2 pair, 2 pair + 1, and 8 further        4 registers of two bfloat16
//                                B   columns of two k, as A's:   k 2 pair, 2 pair + 1, and 8 further,  column `row`      2 registers
//                                D   row, row + 8   x   columns 2 pair, 2 pair + 1                       4 floats
//
//   load_turned      two B of 16 x 8 from shared memory whose rows are along the columns of B: ldmatrix.x4.trans, from 7.5 on. Lane l
//                    gives the address of row l % 16, from column 8 (l / 16) on, 16 bytes aligned
//
// Quads are laid out as pairs, with four bytes of neighbouring k where those have two numbers.
//
// A register has the element of the lower column (or k) in its low half. On the host device the lanes exchange their registers by
// shuffles and each adds up its own four sums, in the order of k.

#pragma once

#include "kernels/cuda_stored.h"

namespace einkorn::cuda {

struct PairsA {
  uint32_t of[4];  // (row, k), (row + 8, k), (row, k + 8), (row + 8, k + 8)
};
struct PairsB {
  uint32_t of[2];  // k, k + 8
};
struct Sums {
  float of[4];  // (row, column), (row, column + 1), (row + 8, column), (row + 8, column + 1)
};
struct Counts {
  int32_t of[4];  // likewise
};

__device__ __forceinline__ void multiply_pairs(Sums& d, const PairsA& a, const PairsB& b) {
#ifdef EINKORN_CUDA_HOST
  const unsigned lane = threadIdx.x % 32, row = lane / 4, pair = lane % 4;
  for (int k = 0; k < 16; ++k) {
    // The lane and register that hold k: pairs of k within 8, low and high halves.
    const int holder = k % 8 / 2, later = k / 8;
    const auto half = [&](uint32_t pairs) { return widened(static_cast<uint16_t>(k % 2 == 0 ? pairs : pairs >> 16)); };
    const int of_row = static_cast<int>(row) * 4 + holder, of_column = static_cast<int>(pair) * 8 + holder;
    const uint32_t upper = __shfl_sync(0xffffffffu, a.of[2 * later], of_row);
    const uint32_t lower = __shfl_sync(0xffffffffu, a.of[2 * later + 1], of_row);
    const uint32_t left = __shfl_sync(0xffffffffu, b.of[later], of_column);
    const uint32_t right = __shfl_sync(0xffffffffu, b.of[later], of_column + 4);
    d.of[0] += half(upper) * half(left);
    d.of[1] += half(upper) * half(right);
    d.of[2] += half(lower) * half(left);
    d.of[3] += half(lower) * half(right);
  }
#elif __CUDA_ARCH__ >= 800
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
      "%3};"
      : "+f"(d.of[0]), "+f"(d.of[1]), "+f"(d.of[2]), "+f"(d.of[3])
      : "r"(a.of[0]), "r"(a.of[1]), "r"(a.of[2]), "r"(a.of[3]), "r"(b.of[0]), "r"(b.of[1]));
#else
  // Older cards have no such instruction; the bodies that use it are refused there.
  __trap();
#endif
}

struct TwoPairsB {
  PairsB of[2];
};

__device__ __forceinline__ TwoPairsB load_turned(const uint16_t* row) {
  TwoPairsB b;
#ifdef EINKORN_CUDA_HOST
  const unsigned lane = threadIdx.x % 32, column = lane / 4, pair = lane % 4;
  for (int m = 0; m < 4; ++m) {  // rows 8 (m % 2) on, columns 8 (m / 2) on
    const int from = m / 2 * 16 + m % 2 * 8 + static_cast<int>(pair) * 2;
    const auto* const first =
        reinterpret_cast<const uint16_t*>(__shfl_sync(0xffffffffu, reinterpret_cast<uint64_t>(row), from));
    const auto* const second =
        reinterpret_cast<const uint16_t*>(__shfl_sync(0xffffffffu, reinterpret_cast<uint64_t>(row), from + 1));
    b.of[m / 2].of[m % 2] = first[column] | static_cast<uint32_t>(second[column]) << 16;
  }
#else
  const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(b.of[0].of[0]), "=r"(b.of[0].of[1]), "=r"(b.of[1].of[0]), "=r"(b.of[1].of[1])
               : "r"(address)
               : "memory");
#endif
  return b;
}

__device__ __forceinline__ void multiply_quads(Counts& d, const PairsA& a, const PairsB& b) {
#ifdef EINKORN_CUDA_HOST
  const unsigned lane = threadIdx.x % 32, row = lane / 4, pair = lane % 4;
  for (int quad = 0; quad < 8; ++quad) {
    const int holder = quad % 4, later = quad / 4;
    const int of_row = static_cast<int>(row) * 4 + holder, of_column = static_cast<int>(pair) * 8 + holder;
    const uint32_t upper = __shfl_sync(0xffffffffu, a.of[2 * later], of_row);
    const uint32_t lower = __shfl_sync(0xffffffffu, a.of[2 * later + 1], of_row);
    const uint32_t left = __shfl_sync(0xffffffffu, b.of[later], of_column);
    const uint32_t right = __shfl_sync(0xffffffffu, b.of[later], of_column + 4);
    for (int shift = 0; shift < 32; shift += 8) {
      const auto plain = [&](uint32_t quads) { return static_cast<int32_t>(quads >> shift & 255); };
      const auto with_sign = [&](uint32_t quads) { return static_cast<int32_t>(static_cast<int8_t>(quads >> shift)); };
      d.of[0] += plain(upper) * with_sign(left);
      d.of[1] += plain(upper) * with_sign(right);
      d.of[2] += plain(lower) * with_sign(left);
      d.of[3] += plain(lower) * with_sign(right);
    }
  }
#elif __CUDA_ARCH__ >= 800
  asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(d.of[0]), "+r"(d.of[1]), "+r"(d.of[2]), "+r"(d.of[3])
      : "r"(a.of[0]), "r"(a.of[1]), "r"(a.of[2]), "r"(a.of[3]), "r"(b.of[0]), "r"(b.of[1]));
#else
  __trap();
#endif
}

}  // namespace einkorn::cuda
