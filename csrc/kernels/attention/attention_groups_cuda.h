// What attention by groups of four warps has in common, forward and backward: places that are filled while others are read, products of boxes, and
// when it is chosen. Blocks of 128 rows, two groups of 64; a third group's first thread asks the copy engine for boxes.

#pragma once

#include <stdlib.h>
#include <string.h>

#include "kernels/attention/attention_mma_cuda.h"
#include "kernels/cuda_wgmma.h"

namespace einkorn::cuda {

constexpr int kBlockGroups = 2, kGroupRows = 64, kGroupQueries = kBlockGroups * kGroupRows, kGroupKeys = 128;
constexpr int kReaders = kBlockGroups * kGroupThreads / kWarp;  // warps
constexpr int kAttendThreads = kReaders * kWarp + kGroupThreads, kPlaces = 2;
constexpr int kReaderRegisters = 240, kBringerRegisters = 24;  // of a thread

// How often a place was used before, and the parity of the phase that this makes.
struct Place {
  int at;
  unsigned parity;

  __device__ __forceinline__ explicit Place(uint32_t number)
      : at(static_cast<int>(number % kPlaces)), parity(number / kPlaces % 2) {}
};

// All boxes of the rows from `row` on.
template <int kBoxes, int kRows>
__device__ __forceinline__ void bring_boxes(uint16_t (&to)[kBoxes][kRows][kBoxColumns], const TensorMap& map, int64_t b,
                                            int64_t h, int64_t row, PhaseBarrier& there) {
#pragma unroll
  for (int box = 0; box < kBoxes; ++box)
    bring_box(to[box], map, box * kBoxColumns, static_cast<int>(row), static_cast<int>(h), static_cast<int>(b), there);
}

// This warp has read what the barrier guards.
__device__ __forceinline__ void release(PhaseBarrier& free) {
  __syncwarp();
  if (threadIdx.x % kWarp == 0) free.arrive();
}

template <int kBoxes, int kRows>
using BoxRows = uint16_t[kBoxes][kRows][kBoxColumns];

constexpr unsigned kEightRows = 8 * kBoxColumns * sizeof(uint16_t);

// Asks for d = a b': a group's rows of a from `first` on, 8 kGroups rows of b.
template <int kBoxes, int kGroups, int kRows, class Products>
__device__ __forceinline__ void ask_scores(Products& products, Sums (&d)[kGroups], const BoxRows<kBoxes, kRows>& a,
                                           int first, const BoxRows<kBoxes, 8 * kGroups>& b) {
  products.begin(d);
#pragma unroll
  for (int step = 0; step < kBoxes * kBoxColumns / 16; ++step) {
    const unsigned within = step % 4 * 32;
    products.multiply(d, advanced(matrix_of(a[step / 4][first], 16, kEightRows), within),
                      advanced(matrix_of(b[step / 4], 16, kEightRows), within), step > 0);
  }
  products.close();
}

// Asks for d += w b: the group's 64 rows of w, 16 kSteps rows of b.
template <int kBoxes, int kSteps, class Products>
__device__ __forceinline__ void ask_sums(Products& products, Sums (&d)[kBoxes * kBoxColumns / 8], PairsA (&w)[kSteps],
                                         const BoxRows<kBoxes, 16 * kSteps>& b) {
  products.begin(d, w);
#pragma unroll
  for (int step = 0; step < kSteps; ++step)
    products.multiply_turned(d, w[step], matrix_of(b[0][step * 16], sizeof b[0], kEightRows));
  products.close();
}

// Whether groups of warps are to do it, and can: for more rows than one group has, or where the environment says so.
inline bool takes_groups(int64_t rows) {
  const char* const wanted = getenv("EINKORN_CUDA_ATTENTION");
  const bool chosen = wanted != nullptr && *wanted != 0;
  if (chosen && strcmp(wanted, "mma") != 0 && strcmp(wanted, "wgmma") != 0)
    throw CudaError(std::string("EINKORN_CUDA_ATTENTION is \"mma\" or \"wgmma\", not \"") + wanted + "\"");
  return (chosen ? strcmp(wanted, "wgmma") == 0 : rows > kGroupRows) && has_group_products();
}

// Rows of one operand by boxes of `count` rows. False: the copy engine does not take them.
inline bool describe_rows(TensorMap& map, const Rows<const uint16_t>& rows, int64_t batch, int64_t heads,
                          int64_t length, int64_t width, unsigned count) {
  return describe(map, rows.data, {width, length, heads, batch}, {1, rows.row, rows.h, rows.b}, count);
}

}  // namespace einkorn::cuda
