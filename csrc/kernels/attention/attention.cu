// Attention on the GPU, forward: flash attention by the tiles of attention_cuda.h.
//
//   a block of threads      kTile queries of a head, and kColumns of the values' width (all of it up to 128; beyond, the scores again)
//     for each block of keys that one of the queries may see
//       s = q k'            registers, the masks in one place (HeadMask)
//       the running maximum m and sum l of a row, folded over the 16 threads that share it; out and l shrink by exp(m - m')
//       out += drop(exp(s - m')) v
//   out / l, lse = m + log l
//
// Few queries (generation) go by attention_decode_cuda.h, bfloat16 in heads of 64 and 128 by attention_wgmma_cuda.h
// or attention_mma_cuda.h.
//
// Roofline: 4 q k d FLOP of float multiply-adds; 1 x 16 x 4096 x 4096 x 64, 69 GFLOP, at 60 TFLOP/s 1.1 ms. A block reads k and v from L2,
// 22 FLOP a byte. bfloat16 is widened as it is read.
// Plan: attention_tiles: 168 registers (double: 255), 1 block of 256 threads an SM

#include "kernels/attention/attention_cuda.h"
#include "kernels/attention/attention_decode_cuda.h"
#include "kernels/attention/attention_wgmma_cuda.h"
#include "kernels/instantiate.h"

namespace einkorn::cuda {

namespace {

template <class T>
__global__ void __launch_bounds__(kBlock) attention_tiles(Attention<T> x, int64_t slices) {
  using N = Number<T>;
  using Tile = AttentionTile<N>;
  __shared__ Tile tile;
  const AttentionProblem<N>& p = x.problem;
  const int tx = static_cast<int>(threadIdx.x % 16), ty = static_cast<int>(threadIdx.x / 16);
  const int64_t blocks = (p.q_len + kTile - 1) / kTile, tasks = p.batch * p.heads * blocks * slices;
  for (int64_t task = blockIdx.x; task < tasks; task += gridDim.x) {
    // The last queries first: under a causal mask theirs is the most work.
    const int64_t slice = task % slices, number = task / slices, block = blocks - 1 - number % blocks;
    const int64_t b = number / blocks / p.heads, h = number / blocks % p.heads, kv = h / (p.heads / p.kv_heads);
    const int64_t i0 = block * kTile, columns = slice * Tile::kColumns;
    const HeadMask<N> mask(p, b, h);
    const HeadDropout<N> dropout(p, b, h);
    const TileRows<T> queries = tile_rows(x.q, b, h, i0, p.q_len, p.width);
    N top[kPatch], sum[kPatch], out[kPatch][Tile::kEach] = {};
#pragma unroll
    for (int r = 0; r < kPatch; ++r) {
      top[r] = -static_cast<N>(INFINITY);
      sum[r] = 0;
    }
    const Blocks seen = blocks_in(i0, queries.count, p.low, p.high, p.k_len);
    for (int64_t j0 = seen.begin; j0 < seen.end; j0 += kTile) {
      N weights[kPatch][kPatch] = {};
      multiply_rows(tile, weights, queries, tile_rows(x.k, b, kv, j0, p.k_len, p.width));
#pragma unroll
      for (int r = 0; r < kPatch; ++r) {
        N largest = top[r];
#pragma unroll
        for (int c = 0; c < kPatch; ++c) {
          weights[r][c] = mask.score(weights[r][c], i0 + ty * kPatch + r, j0 + tx * kPatch + c);
          largest = larger(weights[r][c], largest);
        }
        largest = fold_group<16>(largest, larger<N>, shuffle_xor<N>);
        const N base = largest == -static_cast<N>(INFINITY) ? N{0} : largest;  // nothing seen so far
        N more = 0;
#pragma unroll
        for (int c = 0; c < kPatch; ++c) {
          weights[r][c] = ::exp(weights[r][c] - base);
          more += weights[r][c];
        }
        const N shrink = ::exp(top[r] - base);
        sum[r] = sum[r] * shrink + summed<16>(more);
        top[r] = largest;
#pragma unroll
        for (int c = 0; c < Tile::kEach; ++c) out[r][c] *= shrink;
      }
      if (dropout.drops) {
#pragma unroll
        for (int c = 0; c < kPatch; ++c) {
          const Pack<N, 4> factor = dropout.factors(i0 + ty * kPatch, j0 + tx * kPatch + c);
#pragma unroll
          for (int r = 0; r < kPatch; ++r) weights[r][c] *= factor.v[r];
        }
      }
      put_weights(tile, weights);
      add_product(tile, out, queries.count, tile_rows(x.v, b, kv, j0, p.k_len, p.v_width), columns);
    }
#pragma unroll
    for (int r = 0; r < kPatch; ++r) {
      const bool hidden = sum[r] == 0;
      const N scale = hidden ? N{0} : 1 / sum[r];
#pragma unroll
      for (int c = 0; c < Tile::kEach; ++c) out[r][c] = hidden ? N{0} : out[r][c] * scale;
      const int64_t i = i0 + ty * kPatch + r;
      if (x.lse != nullptr && slice == 0 && tx == 0 && i < p.q_len)
        x.lse[(b * p.heads + h) * p.q_len + i] = hidden ? static_cast<N>(INFINITY) : top[r] + ::log(sum[r]);
    }
    store_rows(x.out, b, h, i0, queries.count, columns, p.v_width, out);
  }
}

}  // namespace

template <class T>
void attention_forward(const Attention<T>& x) {
  const char* const name = "attention_forward";
  const AttentionProblem<Number<T>>& p = x.problem;
  if (p.batch * p.heads * p.q_len == 0) return;
  if (p.q_len <= kDecodeQueries && x.lse == nullptr) {  // the backward pass must find the same scores
    decode(name, x);
    return;
  }
  if constexpr (sizeof(T) == 2)
    if (is_of_pairs(x)) {
      if (!attend_by_groups(name, x)) attend_on_tensor_cores(name, x);
      return;
    }
  const int64_t slices = p.v_width == 0 ? 1 : pieces_of(p.v_width, AttentionTile<Number<T>>::kColumns);
  const int64_t tasks = p.batch * p.heads * pieces_of(p.q_len, kTile) * slices;
  launch(name, attention_tiles<T>, blocks_for(tasks), kBlock, 0, x, slices);
}

EINKORN_INSTANTIATE_STORED(attention_forward, Attention)

}  // namespace einkorn::cuda
