// Attention on the GPU, backward: the scores once more by the tiles of attention_cuda.h, in two launches, so that every gradient has one
// block of threads that sums it, in one order.
//
//   delta[i] = g[i] . out[i]                                     a warp a query
//   queries    a block has kTile queries: for each block of keys ds = p (drop(g v') - delta), gq += ds k; it also writes gbias
//   keys       a block has kTile keys: for each query head that reads them and each block of queries, turned,
//              gv += drop(p)' g, gk += ds' q
//
// bfloat16 in heads of 64 and 128 goes by attention_wgmma_grad_cuda.h or attention_mma_grad_cuda.h.
//
// Roofline: 14 q k d FLOP, where one launch with sums in shared memory across blocks would do with 10; 1 x 16 x 4096 x 4096 x 64, 241
// GFLOP, at 60 TFLOP/s 4 ms.
// Plan: attention_query_grads, attention_key_grads: 255 registers, 1 block of 256 threads an SM, 16 bytes spilled in double

#include "kernels/attention/attention_cuda.h"
#include "kernels/attention/attention_wgmma_grad_cuda.h"
#include "kernels/instantiate.h"

namespace einkorn::cuda {

namespace {

template <class T>
__global__ void __launch_bounds__(kBlock) attention_deltas(AttentionGrad<T> x, Number<T>* delta) {
  using N = Number<T>;
  const AttentionProblem<N>& p = x.problem;
  for_groups<kWarp>(p.batch * p.heads * p.q_len, [&](int64_t row, int lane, bool live) {
    const int64_t i = row % p.q_len, b = row / p.q_len / p.heads, h = row / p.q_len % p.heads;
    const T* const g = x.g.data + b * x.g.b + h * x.g.h + i * x.g.row;
    const T* const out = x.out.data + b * x.out.b + h * x.out.h + i * x.out.row;
    N sum = 0;
    for (int64_t d = lane; d < p.v_width; d += kWarp) sum += widened(g[d]) * widened(out[d]);
    sum = summed<kWarp>(sum);
    if (live && lane == 0) delta[row] = sum;
  });
}

// What one head knows of its queries.
template <class T>
struct HeadGrad {
  using N = Number<T>;
  HeadMask<N> mask;
  HeadDropout<N> dropout;
  const N* lse;
  const N* delta;

  __device__ __forceinline__ HeadGrad(const AttentionGrad<T>& x, const N* deltas, int64_t b, int64_t h)
      : mask(x.problem, b, h),
        dropout(x.problem, b, h),
        lse(x.lse + (b * x.problem.heads + h) * x.problem.q_len),
        delta(deltas + (b * x.problem.heads + h) * x.problem.q_len) {}

  // product: q . k becomes the weight; slope: g . v becomes ds.
  __device__ __forceinline__ void turn(N& product, N& slope, N factor, int64_t i, int64_t j) const {
    const N score = mask.score(product, i, j);
    const bool inside = i < mask.q_len;
    const N p = inside ? ::exp(score - lse[i]) : N{0};
    product = p * factor;
    slope = inside ? p * (slope * factor - delta[i]) : N{0};
  }
};

template <class T>
__global__ void __launch_bounds__(kBlock)
    attention_query_grads(AttentionGrad<T> x, const Number<T>* deltas, int64_t slices) {
  using N = Number<T>;
  using Tile = AttentionTile<N>;
  __shared__ Tile tile;
  const AttentionProblem<N>& p = x.problem;
  const int tx = static_cast<int>(threadIdx.x % 16), ty = static_cast<int>(threadIdx.x / 16);
  const int64_t blocks = (p.q_len + kTile - 1) / kTile, tasks = p.batch * p.heads * blocks * slices;
  for (int64_t task = blockIdx.x; task < tasks; task += gridDim.x) {
    const int64_t slice = task % slices, number = task / slices, block = blocks - 1 - number % blocks;
    const int64_t b = number / blocks / p.heads, h = number / blocks % p.heads, kv = h / (p.heads / p.kv_heads);
    const int64_t i0 = block * kTile, columns = slice * Tile::kColumns;
    const HeadGrad<T> head(x, deltas, b, h);
    const TileRows<T> queries = tile_rows(x.q, b, h, i0, p.q_len, p.width);
    const TileRows<T> slopes = tile_rows(x.g, b, h, i0, p.q_len, p.v_width);
    const bool keeps_bias = x.gbias != nullptr && slice == 0;
    N gq[kPatch][Tile::kEach] = {};
    const Blocks seen = keeps_bias ? Blocks{0, p.k_len} : blocks_in(i0, queries.count, p.low, p.high, p.k_len);
    for (int64_t j0 = seen.begin; j0 < seen.end; j0 += kTile) {
      const TileRows<T> keys = tile_rows(x.k, b, kv, j0, p.k_len, p.width);
      N weights[kPatch][kPatch] = {}, ds[kPatch][kPatch] = {};
      multiply_rows(tile, weights, queries, keys);
      multiply_rows(tile, ds, slopes, tile_rows(x.v, b, kv, j0, p.k_len, p.v_width));
#pragma unroll
      for (int c = 0; c < kPatch; ++c) {
        const int64_t i = i0 + ty * kPatch, j = j0 + tx * kPatch + c;
        Pack<N, 4> factor = {{1, 1, 1, 1}};
        if (head.dropout.drops) factor = head.dropout.factors(i, j);
#pragma unroll
        for (int r = 0; r < kPatch; ++r) {
          head.turn(weights[r][c], ds[r][c], factor.v[r], i + r, j);
          if (keeps_bias && i + r < p.q_len && j < p.k_len)
            x.gbias[((b * p.heads + h) * p.q_len + i + r) * p.k_len + j] = ds[r][c];
          ds[r][c] *= p.scale;
        }
      }
      put_weights(tile, ds);
      add_product(tile, gq, queries.count, keys, columns);
    }
    store_rows(x.gq, b, h, i0, queries.count, columns, p.width, gq);
  }
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    attention_key_grads(AttentionGrad<T> x, const Number<T>* deltas, int64_t slices) {
  using N = Number<T>;
  using Tile = AttentionTile<N>;
  __shared__ Tile tile;
  const AttentionProblem<N>& p = x.problem;
  const int tx = static_cast<int>(threadIdx.x % 16), ty = static_cast<int>(threadIdx.x / 16);
  const int64_t blocks = (p.k_len + kTile - 1) / kTile, tasks = p.batch * p.kv_heads * blocks * slices;
  const int64_t readers = p.heads / p.kv_heads;
  for (int64_t task = blockIdx.x; task < tasks; task += gridDim.x) {
    const int64_t slice = task % slices, number = task / slices, block = number % blocks;
    const int64_t b = number / blocks / p.kv_heads, kv = number / blocks % p.kv_heads;
    const int64_t j0 = block * kTile, columns = slice * Tile::kColumns;
    const TileRows<T> keys = tile_rows(x.k, b, kv, j0, p.k_len, p.width);
    const TileRows<T> values = tile_rows(x.v, b, kv, j0, p.k_len, p.v_width);
    N gk[kPatch][Tile::kEach] = {}, gv[kPatch][Tile::kEach] = {};
    const Blocks seeing = blocks_in(j0, keys.count, -p.high, -p.low, p.q_len);
    for (int64_t h = kv * readers; h < (kv + 1) * readers; ++h) {
      const HeadGrad<T> head(x, deltas, b, h);
      for (int64_t i0 = seeing.begin; i0 < seeing.end; i0 += kTile) {
        const TileRows<T> queries = tile_rows(x.q, b, h, i0, p.q_len, p.width);
        const TileRows<T> slopes = tile_rows(x.g, b, h, i0, p.q_len, p.v_width);
        N weights[kPatch][kPatch] = {}, ds[kPatch][kPatch] = {};  // [key][query]
        multiply_rows(tile, weights, keys, queries);
        multiply_rows(tile, ds, values, slopes);
#pragma unroll
        for (int r = 0; r < kPatch; ++r) {
          const int64_t i = i0 + tx * kPatch, j = j0 + ty * kPatch + r;
          Pack<N, 4> factor = {{1, 1, 1, 1}};
          if (head.dropout.drops) factor = head.dropout.factors(i, j);
#pragma unroll
          for (int c = 0; c < kPatch; ++c) {
            head.turn(weights[r][c], ds[r][c], factor.v[c], i + c, j);
            ds[r][c] *= p.scale;
          }
        }
        put_weights(tile, weights);
        add_product(tile, gv, keys.count, slopes, columns);
        put_weights(tile, ds);
        add_product(tile, gk, keys.count, queries, columns);
      }
    }
    store_rows(x.gk, b, kv, j0, keys.count, columns, p.width, gk);
    store_rows(x.gv, b, kv, j0, keys.count, columns, p.v_width, gv);
  }
}

}  // namespace

template <class T>
void attention_backward(const AttentionGrad<T>& x) {
  const char* const name = "attention_backward";
  using N = Number<T>;
  constexpr int64_t kColumns = AttentionTile<N>::kColumns;
  const AttentionProblem<N>& p = x.problem;
  const int64_t rows = p.batch * p.heads * p.q_len;
  const auto slices_of = [](int64_t width) { return width == 0 ? int64_t{1} : pieces_of(width, kColumns); };
  const StreamScratch delta(static_cast<size_t>(rows) * sizeof(N));
  launch_over(name, attention_deltas<T>, rows * kWarp, x, delta.as<N>());
  if constexpr (sizeof(T) == 2)
    if (is_of_pairs(x)) {
      if (!grads_by_groups(name, x, delta.as<N>())) grads_on_tensor_cores(name, x, delta.as<N>());
      return;
    }
  const int64_t queries = p.batch * p.heads * pieces_of(p.q_len, kTile) * slices_of(p.width);
  if (queries > 0)
    launch(name, attention_query_grads<T>, blocks_for(queries), kBlock, 0, x, delta.as<N>(), slices_of(p.width));
  const int64_t slices = slices_of(p.width > p.v_width ? p.width : p.v_width);
  const int64_t keys = p.batch * p.kv_heads * pieces_of(p.k_len, kTile) * slices;
  if (keys > 0) launch(name, attention_key_grads<T>, blocks_for(keys), kBlock, 0, x, delta.as<N>(), slices);
}

EINKORN_INSTANTIATE_STORED(attention_backward, AttentionGrad)

}  // namespace einkorn::cuda
