// matmul_bf16 on the GPU: tensor cores by mma.sync (cuda_mma.h), float sums.
//
// Tiles are those of cuda_product_tile.h.
//
// Loads of the next step are under way during the products of this one. Any strides: operands that run along k are read in the order of
// memory, others across.
//
// Roofline: 2 M N K FLOP at 800 TFLOP/s; a tile of 64 x 64 does 32 FLOP for a byte of L2, which at 5.5 TB/s bounds it to about 180 TFLOP/s:
// enough for small and odd shapes and fused epilogues.
// Plan: matmul_bf16_tiles: 224 registers, 1 block of 256 threads an SM

#include "kernels/activation_cuda.h"
#include "kernels/cuda_product_tile.h"
#include "kernels/matmul_bf16.h"

namespace einkorn::cuda {

namespace {

constexpr int kTile = kProductTile, kDepth = kPairsDepth, kPitch = kProductPitch;
constexpr int kLoads = kTile * kDepth / kBlock;  // of a thread, for each operand and step

__device__ __forceinline__ float load_number(const HalfOrFloat& from, int64_t at) {
  if (from.bytes == 2) return widened(reinterpret_cast<const uint16_t*>(from.p)[at]);
  return reinterpret_cast<const float*>(from.p)[at];
}

__device__ __forceinline__ void store_number(const HalfOrFloat& to, int64_t at, float v) {
  if (to.bytes == 2)
    reinterpret_cast<uint16_t*>(to.p)[at] = narrowed<uint16_t>(v);
  else
    reinterpret_cast<float*>(to.p)[at] = v;
}

// Where a batch lies in the three operands.
struct Offsets {
  int64_t out, a, b;
};

__device__ __forceinline__ Offsets offsets_of(const MatmulBf16& x, int64_t batch) {
  Offsets at = {0, 0, 0};
  for (int d = x.batch_ndim - 1; d >= 0; --d) {
    const int64_t rest = quotient(batch, x.batch_shape[d]), i = batch - rest * x.batch_shape[d];
    at.out += i * x.out_batch[d];
    at.a += i * x.a_batch[d];
    at.b += i * x.b_batch[d];
    batch = rest;
  }
  return at;
}

// One operand's share of a step: kTile lines of kDepth, as a thread loads and puts them.
struct OperandLoads {
  const uint16_t* data;
  int64_t line_step, k_step, lines, depth;
  uint16_t held[kLoads];

  __device__ __forceinline__ bool along_k() const { return k_step == 1; }
  __device__ __forceinline__ int line(int i) const { return along_k() ? i / kDepth : i % kTile; }
  __device__ __forceinline__ int k(int i) const { return along_k() ? i % kDepth : i / kTile; }

  __device__ __forceinline__ void load(int64_t first_line, int64_t begin) {
#pragma unroll
    for (int l = 0; l < kLoads; ++l) {
      const int i = static_cast<int>(threadIdx.x) + l * kBlock;
      const int64_t at_line = first_line + line(i), at_k = begin + k(i);
      held[l] = at_line < lines && at_k < depth ? data[at_line * line_step + at_k * k_step] : uint16_t{0};
    }
  }
  __device__ __forceinline__ void put(uint16_t* to) const {
#pragma unroll
    for (int l = 0; l < kLoads; ++l) {
      const int i = static_cast<int>(threadIdx.x) + l * kBlock;
      to[line(i) * 2 * kPitch + k(i)] = held[l];
    }
  }
};

__global__ void __launch_bounds__(kBlock) matmul_bf16_tiles(MatmulBf16 x, int64_t batches) {
  __shared__ TileWords a_words, b_words;
  const int64_t down = (x.m + kTile - 1) / kTile, across = (x.n + kTile - 1) / kTile;
  for (int64_t task = blockIdx.x; task < batches * down * across; task += gridDim.x) {
    const int64_t tile = task % (down * across), i0 = tile / across * kTile, j0 = tile % across * kTile;
    const Offsets at = offsets_of(x, task / (down * across));
    OperandLoads a = {x.a + at.a, x.a_m, x.a_k, x.m, x.k, {}}, b = {x.b + at.b, x.b_n, x.b_k, x.n, x.k, {}};
    TilePart<Sums> part;
    a.load(i0, 0);
    b.load(j0, 0);
    for (int64_t begin = 0; begin < x.k; begin += kDepth) {
      a.put(reinterpret_cast<uint16_t*>(a_words));
      b.put(reinterpret_cast<uint16_t*>(b_words));
      __syncthreads();
      if (begin + kDepth < x.k) {
        a.load(i0, begin + kDepth);
        b.load(j0, begin + kDepth);
      }
      part.multiply(a_words, b_words);
      __syncthreads();
    }
    part.for_sums(i0, j0, [&](int64_t i, int64_t j, float sum) {
      if (i >= x.m || j >= x.n) return;
      const int64_t to = at.out + i * x.out_m + j * x.out_n;
      float v = x.alpha * sum;
      if (x.beta != 0) v += x.beta * load_number(x.out, to);
      if (x.bias.p != nullptr) v += load_number(x.bias, x.bias_on_rows ? i : j);
      store_number(x.out, to, activate(v, x.activation));
    });
  }
}

}  // namespace

void matmul_bf16(const MatmulBf16& x) {
  int64_t batches = 1;
  for (int d = 0; d < x.batch_ndim; ++d) batches *= x.batch_shape[d];
  const int64_t tiles = batches * pieces_of(x.m, kTile) * pieces_of(x.n, kTile);
  if (tiles > 0) launch("matmul_bf16", matmul_bf16_tiles, blocks_for(tiles), kBlock, 0, x, batches);
}

}  // namespace einkorn::cuda
