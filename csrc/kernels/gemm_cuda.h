// A tiled matrix product on the GPU, C[i, j] = sum over k of A[i, k] B[k, j], whose operands a Problem reads and whose results it
// stores: matrices, or the images of a convolution.
//
//      256 threads, each kThreadTile x kThreadTile of a kTile x kTile piece of C
//      shared memory   A | kDepth x kTile |   B | kDepth x kTile |    twice: one is read while the other is filled
//
// Global loads of the next step are under way during the arithmetic of this one. In a step a thread does kThreadTile^2 kDepth
// multiply-adds for 2 kThreadTile kDepth shared loads, made 16 bytes at a time. float32 multiply-adds, no tensor cores: exact.
//
// K is cut into `splits` parts, by the problem's size alone, where C has too few pieces to fill a card; parts are added in
// order by a second launch. Same bits every time.
//
// A Problem has
//   T, int64_t m, n, k, batches
//   bool a_along_k(), b_along_k()            neighbouring threads load along k (else along i, j)
//   Row row(batch, i), Column column(batch, j)   what a thread keeps of a row of A, a column of B
//   ADepth a_depth(k), BDepth b_depth(k)         what it works out for each k
//   advance(depth, step)                         from the depth of k to that of k + n; step is the depth of n
//   T a(row, depth), b(column, depth)
//   void store(batch, i, j, sum)
// Plan: gemm_kernel: 255 registers, 1 block of 256 threads an SM, 468 bytes spilled in double

#pragma once

#include "kernels/cuda_launch.h"
#include "kernels/stored.h"

namespace einkorn::cuda {

// Pieces are cut along k until there are kEnoughBlocks of them.
template <int kTile_, int kDepth_, int kEnoughBlocks_>
struct GemmTile {
  static constexpr int64_t kEnoughBlocks = kEnoughBlocks_;
  static constexpr int kTile = kTile_, kDepth = kDepth_;
  static constexpr int kThreadTile = kTile / 16;          // 16 x 16 threads
  static constexpr int kLoads = kTile * kDepth / kBlock;  // of a thread, for each operand and step
};

using LargeTile = GemmTile<128, 8, 256>;
using SmallTile = GemmTile<64, 8, 1024>;
constexpr int64_t kLeastDepth = 128, kMostSplits = 256;  // k of a part, and parts

template <class T>
struct alignas(16) GemmPack {
  T v[16 / sizeof(T)];
};

struct GemmCut {
  int64_t rows, columns;  // pieces of C
  int64_t depth, splits;  // k of a part, and parts
};

// One operand's loads: `kLoads` elements of the step's kTile x kDepth, as this thread's places in them.
template <class Tile>
struct GemmLoads {
  bool along_k;

  __device__ int line(int load) const {  // i or j within the piece
    const int t = static_cast<int>(threadIdx.x);
    return along_k ? t / Tile::kDepth + load * (kBlock / Tile::kDepth) : t % Tile::kTile;
  }
  __device__ int depth(int load) const {
    const int t = static_cast<int>(threadIdx.x);
    return along_k ? t % Tile::kDepth : t / Tile::kTile + load * (kBlock / Tile::kTile);
  }
};

template <class Tile, class Problem>
__global__ void __launch_bounds__(kBlock) gemm_kernel(Problem p, GemmCut cut, typename Problem::T* partial) {
  using T = typename Problem::T;
  constexpr int kTile = Tile::kTile, kDepth = Tile::kDepth, kThreadTile = Tile::kThreadTile, kLoads = Tile::kLoads;
  constexpr int kPack = 16 / sizeof(T), kPitch = kTile + kPack;
  constexpr int kPacks = kThreadTile / kPack > 0 ? kThreadTile / kPack : 1;
  static_assert(kThreadTile % kPack == 0 && kBlock % kTile == 0 && kLoads > 0);
  __shared__ __align__(16) T shared_a[2][kDepth][kPitch];
  __shared__ __align__(16) T shared_b[2][kDepth][kPitch];

  const int tx = static_cast<int>(threadIdx.x % 16), ty = static_cast<int>(threadIdx.x / 16);
  const GemmLoads<Tile> a_loads = {p.a_along_k()}, b_loads = {p.b_along_k()};
  const int64_t pieces = cut.rows * cut.columns, tasks = pieces * cut.splits * p.batches;
  for (int64_t task = blockIdx.x; task < tasks; task += gridDim.x) {
    const int64_t piece = task % pieces, split = task / pieces % cut.splits, batch = task / pieces / cut.splits;
    const int64_t first_i = piece / cut.columns * kTile, first_j = piece % cut.columns * kTile;
    const int64_t begin = split * cut.depth, end = begin + cut.depth < p.k ? begin + cut.depth : p.k;

    typename Problem::Row rows[kLoads];
    typename Problem::Column columns[kLoads];
    for (int l = 0; l < kLoads; ++l) {
      const int64_t i = first_i + a_loads.line(l), j = first_j + b_loads.line(l);
      rows[l] = p.row(batch, i < p.m ? i : p.m - 1);
      columns[l] = p.column(batch, j < p.n ? j : p.n - 1);
    }
    // Places along k move on by kDepth from step to step: additions instead of the divisions that find a place.
    const auto a_step = p.a_depth(kDepth);
    const auto b_step = p.b_depth(kDepth);
    decltype(p.a_depth(0)) a_depth[kLoads];
    decltype(p.b_depth(0)) b_depth[kLoads];
    for (int l = 0; l < kLoads; ++l) {
      a_depth[l] = p.a_depth(begin + a_loads.depth(l));
      b_depth[l] = p.b_depth(begin + b_loads.depth(l));
    }
    T next_a[kLoads], next_b[kLoads], sums[kThreadTile][kThreadTile] = {};
    const auto load = [&](int64_t k0) {
#pragma unroll
      for (int l = 0; l < kLoads; ++l) {
        const int64_t ka = k0 + a_loads.depth(l), kb = k0 + b_loads.depth(l);
        next_a[l] = ka < end && first_i + a_loads.line(l) < p.m ? p.a(rows[l], a_depth[l]) : T{0};
        next_b[l] = kb < end && first_j + b_loads.line(l) < p.n ? p.b(columns[l], b_depth[l]) : T{0};
        p.advance(a_depth[l], a_step);
        p.advance(b_depth[l], b_step);
      }
    };
    const auto put = [&](int buffer) {
#pragma unroll
      for (int l = 0; l < kLoads; ++l) {
        shared_a[buffer][a_loads.depth(l)][a_loads.line(l)] = next_a[l];
        shared_b[buffer][b_loads.depth(l)][b_loads.line(l)] = next_b[l];
      }
    };

    load(begin);
    put(0);
    __syncthreads();
    int buffer = 0;
    for (int64_t k0 = begin; k0 < end; k0 += kDepth, buffer ^= 1) {
      const bool more = k0 + kDepth < end;
      if (more) load(k0 + kDepth);
#pragma unroll
      for (int d = 0; d < kDepth; ++d) {
        T a[kThreadTile], b[kThreadTile];
#pragma unroll
        for (int q = 0; q < kPacks; ++q) {
          const auto pack_a = *reinterpret_cast<const GemmPack<T>*>(&shared_a[buffer][d][q * 16 * kPack + ty * kPack]);
          const auto pack_b = *reinterpret_cast<const GemmPack<T>*>(&shared_b[buffer][d][q * 16 * kPack + tx * kPack]);
#pragma unroll
          for (int e = 0; e < kPack; ++e) {
            a[q * kPack + e] = pack_a.v[e];
            b[q * kPack + e] = pack_b.v[e];
          }
        }
#pragma unroll
        for (int i = 0; i < kThreadTile; ++i)
#pragma unroll
          for (int j = 0; j < kThreadTile; ++j) sums[i][j] += a[i] * b[j];
      }
      if (more) put(buffer ^ 1);
      __syncthreads();
    }

#pragma unroll
    for (int i = 0; i < kThreadTile; ++i)
#pragma unroll
      for (int j = 0; j < kThreadTile; ++j) {
        const int64_t row = first_i + i / kPack * 16 * kPack + ty * kPack + i % kPack;
        const int64_t column = first_j + j / kPack * 16 * kPack + tx * kPack + j % kPack;
        if (row >= p.m || column >= p.n) continue;
        if (partial != nullptr)
          partial[((split * p.batches + batch) * p.m + row) * p.n + column] = sums[i][j];
        else
          p.store(batch, row, column, sums[i][j]);
      }
  }
}

// Adds the parts in order.
template <class Problem>
__global__ void gemm_finish(Problem p, GemmCut cut, const Number<typename Problem::T>* partial) {
  const int64_t size = p.batches * p.m * p.n;
  grid_stride(size, [&](int64_t i) {
    Number<typename Problem::T> sum = partial[i];
#pragma unroll 8
    for (int64_t s = 1; s < cut.splits; ++s) sum += partial[s * size + i];
    p.store(i / p.n / p.m, i / p.n % p.m, i % p.n, sum);
  });
}

template <class Tile, class Problem>
void start_gemm(const char* name, const Problem& p, void (*kernel)(Problem, GemmCut, Number<typename Problem::T>*)) {
  using T = Number<typename Problem::T>;
  GemmCut cut;
  cut.rows = (p.m + Tile::kTile - 1) / Tile::kTile;
  cut.columns = (p.n + Tile::kTile - 1) / Tile::kTile;
  const int64_t pieces = cut.rows * cut.columns * p.batches;
  int64_t splits = Tile::kEnoughBlocks / pieces;
  if (splits > p.k / kLeastDepth) splits = p.k / kLeastDepth;
  if (splits > kMostSplits) splits = kMostSplits;
  if (splits < 1) splits = 1;
  const int64_t steps = (p.k + Tile::kDepth - 1) / Tile::kDepth;
  cut.depth = (steps + splits - 1) / splits * Tile::kDepth;
  cut.splits = p.k > 0 ? (p.k + cut.depth - 1) / cut.depth : 1;
  const StreamScratch parts(cut.splits > 1 ? static_cast<size_t>(cut.splits * p.batches * p.m * p.n) * sizeof(T) : 0);
  T* const partial = parts.template as<T>();
  launch(name, kernel, blocks_for(pieces * cut.splits), kBlock, 0, p, cut, partial);
  if (cut.splits > 1) launch_over(name, gemm_finish<Problem>, p.batches * p.m * p.n, p, cut, partial);
}

// Large pieces where there are enough of them, cut along k or not, to fill a card.
template <class Problem>
void gemm(const char* name, const Problem& p) {
  if (p.m == 0 || p.n == 0 || p.batches == 0) return;
  const int64_t large = (p.m + 127) / 128 * ((p.n + 127) / 128) * p.batches;
  const int64_t parts = p.k < 2 * kLeastDepth ? 1 : p.k / kLeastDepth;
  if (p.m > 64 && p.n > 64 && large * (parts < 8 ? parts : 8) >= 100)
    start_gemm<LargeTile>(name, p, gemm_kernel<LargeTile, Problem>);
  else
    start_gemm<SmallTile>(name, p, gemm_kernel<SmallTile, Problem>);
}

}  // namespace einkorn::cuda
