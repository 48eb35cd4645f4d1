// The product of gemm_cuda.h for a Problem of bfloat16, on tensor cores: mma.sync (cuda_mma.h), float sums, the same cuts of k.
//
// Tiles are those of cuda_product_tile.h.
//
// The loads of the next step are under way during the products of this one; a Problem's elements are read one by one, since an image's
// are anywhere. store gets a float.
//
// Roofline: 32 FLOP for a byte of L1 and L2 at this tile, at 5.5 TB/s of L2 about 180 TFLOP/s of the card's 800; 32 x 64 x 56 x 56 with 64
// filters of 3 x 3, 7.4 GFLOP, 0.04 ms. Bound rather by the instructions that find an element, some 8 for each 2 FLOP x 64.
// Plan: gemm_pairs_kernel: 255 registers, 1 block of 256 threads an SM

#pragma once

#include "kernels/cuda_product_tile.h"
#include "kernels/gemm_cuda.h"

namespace einkorn::cuda {

using PairsTile = GemmTile<kProductTile, kPairsDepth, 1024>;

template <class Problem>
__global__ void __launch_bounds__(kBlock) gemm_pairs_kernel(Problem p, GemmCut cut, float* partial) {
  constexpr int kTile = PairsTile::kTile, kDepth = PairsTile::kDepth, kLoads = PairsTile::kLoads;
  __shared__ TileWords a_words, b_words;
  const GemmLoads<PairsTile> a_loads = {p.a_along_k()}, b_loads = {p.b_along_k()};
  const int64_t pieces = cut.rows * cut.columns, tasks = pieces * cut.splits * p.batches;
  for (int64_t task = blockIdx.x; task < tasks; task += gridDim.x) {
    const int64_t piece = task % pieces, split = task / pieces % cut.splits, batch = task / pieces / cut.splits;
    const int64_t first_i = piece / cut.columns * kTile, first_j = piece % cut.columns * kTile;
    const int64_t begin = split * cut.depth, end = begin + cut.depth < p.k ? begin + cut.depth : p.k;

    typename Problem::Row rows[kLoads];
    typename Problem::Column columns[kLoads];
    const auto a_step = p.a_depth(kDepth);
    const auto b_step = p.b_depth(kDepth);
    decltype(p.a_depth(0)) a_depth[kLoads];
    decltype(p.b_depth(0)) b_depth[kLoads];
#pragma unroll
    for (int l = 0; l < kLoads; ++l) {
      const int64_t i = first_i + a_loads.line(l), j = first_j + b_loads.line(l);
      rows[l] = p.row(batch, i < p.m ? i : p.m - 1);
      columns[l] = p.column(batch, j < p.n ? j : p.n - 1);
      a_depth[l] = p.a_depth(begin + a_loads.depth(l));
      b_depth[l] = p.b_depth(begin + b_loads.depth(l));
    }
    uint16_t next_a[kLoads], next_b[kLoads];
    const auto load = [&](int64_t k0) {
#pragma unroll
      for (int l = 0; l < kLoads; ++l) {
        const int64_t ka = k0 + a_loads.depth(l), kb = k0 + b_loads.depth(l);
        next_a[l] = ka < end && first_i + a_loads.line(l) < p.m ? p.a(rows[l], a_depth[l]) : uint16_t{0};
        next_b[l] = kb < end && first_j + b_loads.line(l) < p.n ? p.b(columns[l], b_depth[l]) : uint16_t{0};
        p.advance(a_depth[l], a_step);
        p.advance(b_depth[l], b_step);
      }
    };
    TilePart<Sums> part;
    load(begin);
    for (int64_t k0 = begin; k0 < end; k0 += kDepth) {
#pragma unroll
      for (int l = 0; l < kLoads; ++l) {
        reinterpret_cast<uint16_t*>(a_words[a_loads.line(l)])[a_loads.depth(l)] = next_a[l];
        reinterpret_cast<uint16_t*>(b_words[b_loads.line(l)])[b_loads.depth(l)] = next_b[l];
      }
      __syncthreads();
      if (k0 + kDepth < end) load(k0 + kDepth);
      part.multiply(a_words, b_words);
      __syncthreads();
    }
    part.for_sums(first_i, first_j, [&](int64_t i, int64_t j, float sum) {
      if (i >= p.m || j >= p.n) return;
      if (partial != nullptr)
        partial[((split * p.batches + batch) * p.m + i) * p.n + j] = sum;
      else
        p.store(batch, i, j, sum);
    });
  }
}

template <class Problem>
void gemm_pairs(const char* name, const Problem& p) {
  if (p.m == 0 || p.n == 0 || p.batches == 0) return;
  start_gemm<PairsTile>(name, p, gemm_pairs_kernel<Problem>);
}

}  // namespace einkorn::cuda
