// Products of bytes on the GPU: tensor cores by mma.sync (cuda_mma.h), int32 sums; and the rows of bytes that they multiply.
//
//   quantise   a warp a row, twice: its range, then its bytes
//   block      kTile x kTile of out, kDepth bytes of k at a time: a thread brings 16 of a row of each operand, at once where rows allow it
//   warp       its part of the tile of cuda_product_tile.h
//
// Roofline: 2 M N K operations at 1600 T/s, twice bfloat16; a tile of 64 x 64 does 64 operations for a byte of L2, at 5.5 TB/s 350 T/s. One
// row times 4096 x 4096 reads 17 MB, 0.006 ms at 3.0 TB/s. Quantising reads 8 bytes and writes 1 an element, the second time from L2.
// Plan: matmul_int8_tiles: 96 registers, 2 blocks of 256 threads an SM
// Plan: quantise_rows: 40 registers, 6 blocks of 256 threads an SM

#include "kernels/activation_cuda.h"
#include "kernels/cuda_group.h"
#include "kernels/cuda_product_tile.h"
#include "kernels/matmul_int8.h"

namespace einkorn::cuda {

namespace {

constexpr float kLeastScale = 1.2e-38f;  // below it, one over it is infinite

// Of a row: the least and the largest number and 0, and whether all are finite. All lanes get it.
struct Range {
  float low, high;
  bool finite;
};

__device__ __forceinline__ Range range_of(const float* x, int64_t n, int lane) {
  float low = 0, high = 0, difference = 0;
  for (int64_t k = lane; k < n; k += kWarp) {
    const float v = x[k];
    low = v < low ? v : low;
    high = v > high ? v : high;
    difference += v - v;  // 0, or NaN once and for all
  }
  low = -fold_group<kWarp>(-low, larger<float>, shuffle_xor<float>);
  high = fold_group<kWarp>(high, larger<float>, shuffle_xor<float>);
  return {low, high, summed<kWarp>(difference) == 0};
}

// q = round(x / scale) + zero, within [least, most].
template <class Byte>
__device__ __forceinline__ void quantise(Byte* q, const float* x, int64_t n, int lane, float per_unit, int32_t zero,
                                         int32_t least, int32_t most) {
  for (int64_t k = lane; k < n; k += kWarp) {
    const int32_t v = static_cast<int32_t>(::rintf(__fmul_rn(x[k], per_unit))) + zero;
    q[k] = static_cast<Byte>(v < least ? least : v > most ? most : v);
  }
}

// Rows of bytes without a sign have a zero; those with one have none.
template <class Byte>
__global__ void __launch_bounds__(kBlock)
    quantise_rows(Byte* q, float* scales, int32_t* zeros, const float* x, int64_t rows, int64_t columns) {
  for_groups<kWarp>(rows, [&](int64_t i, int lane, bool live) {
    const float* const row = x + i * columns;
    const Range range = range_of(row, columns, lane);
    const bool with_sign = zeros == nullptr;
    const float scale = with_sign ? (range.high > -range.low ? range.high : -range.low) / 127
                                  : __fadd_rn(range.high / 255, -(range.low / 255));
    const bool blank = !range.finite || scale < kLeastScale;
    const float per_unit = blank ? 0.0f : 1 / scale;
    const int32_t zero = blank || with_sign ? 0 : static_cast<int32_t>(::rintf(__fmul_rn(-range.low, per_unit)));
    if (!live) return;
    if (lane == 0) {
      scales[i] = !range.finite ? NAN : blank ? 1.0f : scale;
      if (!with_sign) zeros[i] = zero;
    }
    if (blank)
      for (int64_t k = lane; k < columns; k += kWarp) q[i * columns + k] = 0;
    else
      quantise(q + i * columns, row, columns, lane, per_unit, zero, with_sign ? -127 : 0, with_sign ? 127 : 255);
  });
}

constexpr int kTile = kProductTile, kDepth = kQuadsDepth;
constexpr int kEach = 16;  // bytes that a thread brings
static_assert(kTile * kDepth == kBlock * kEach);

struct alignas(16) SixteenBytes {
  uint32_t words[4];
};

// This thread's bytes of a tile's row, zeros beyond the matrix.
__device__ __forceinline__ SixteenBytes load_bytes(const uint8_t* data, int64_t line, int64_t lines, int64_t begin,
                                                   int64_t depth, bool packs) {
  SixteenBytes held = {};
  if (line >= lines || begin >= depth) return held;
  const uint8_t* const from = data + line * depth + begin;
  if (packs) return *reinterpret_cast<const SixteenBytes*>(from);
  for (int i = 0; i < kEach && begin + i < depth; ++i)
    held.words[i / 4] |= static_cast<uint32_t>(from[i]) << (i % 4 * 8);
  return held;
}

__global__ void __launch_bounds__(kBlock) matmul_int8_tiles(MatmulInt8 x, bool packs) {
  __shared__ __align__(16) TileWords a_words;
  __shared__ __align__(16) TileWords b_words;
  const int t = static_cast<int>(threadIdx.x), line = t / 4, at = t % 4 * kEach;  // of this thread's bytes
  const int64_t across = (x.n + kTile - 1) / kTile, tiles = (x.m + kTile - 1) / kTile * across;
  const uint8_t* const b = reinterpret_cast<const uint8_t*>(x.b);
  for (int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const int64_t i0 = tile / across * kTile, j0 = tile % across * kTile;
    TilePart<Counts> part;
    SixteenBytes of_a = load_bytes(x.a, i0 + line, x.m, at, x.k, packs);
    SixteenBytes of_b = load_bytes(b, j0 + line, x.n, at, x.k, packs);
    for (int64_t begin = 0; begin < x.k; begin += kDepth) {
      *reinterpret_cast<SixteenBytes*>(&a_words[line][at / 4]) = of_a;
      *reinterpret_cast<SixteenBytes*>(&b_words[line][at / 4]) = of_b;
      __syncthreads();
      of_a = load_bytes(x.a, i0 + line, x.m, begin + kDepth + at, x.k, packs);
      of_b = load_bytes(b, j0 + line, x.n, begin + kDepth + at, x.k, packs);
      part.multiply(a_words, b_words);
      __syncthreads();
    }
    part.for_sums(i0, j0, [&](int64_t i, int64_t j, int32_t sum) {
      if (i >= x.m || j >= x.n) return;
      const int32_t whole = sum - x.b_sums[j] * x.a_zero[i];
      float v = static_cast<float>(whole) * (x.b_scale[j] * x.a_scale[i]);
      if (x.bias != nullptr) v += x.bias[j];
      x.out[i * x.n + j] = activate(v, x.activation);
    });
  }
}

}  // namespace

void quantize_rows_u8(const QuantizeRowsU8& x) {
  launch_over("quantize_rows_u8", quantise_rows<uint8_t>, x.rows * kWarp, x.q, x.scale, x.zero, x.x, x.rows, x.columns);
}

void quantize_rows_s8(const QuantizeRowsS8& x) {
  launch_over("quantize_rows_s8", quantise_rows<int8_t>, x.rows * kWarp, x.q, x.scale, nullptr, x.x, x.rows, x.columns);
}

void matmul_int8(const MatmulInt8& x) {
  const int64_t tiles = pieces_of(x.m, kTile) * pieces_of(x.n, kTile);
  const bool packs = x.k % kEach == 0 && is_aligned(x.a, kEach) && is_aligned(x.b, kEach);
  if (tiles > 0) launch("matmul_int8", matmul_int8_tiles, blocks_for(tiles), kBlock, 0, x, packs);
}

}  // namespace einkorn::cuda
