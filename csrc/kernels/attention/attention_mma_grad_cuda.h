// Attention of bfloat16 on tensor cores, backward: attention_grad.cu's two launches by the means of attention_mma_cuda.h.
//
//   queries    a block keeps 64 queries of q and g in shared memory; for each block of keys s = q k', slope = g v', ds = p (slope - delta),
//              gq += ds k
//   keys       a block keeps 64 keys of k and v; for each query head that reads them and each block of queries, turned, s' = k q',
//              slope' = v g', gv += p' g, gk += ds' q
//
//   shared     | kept: two operands x 64 rows |  stage 0: two x kRows  |  stage 1 |      the next stage is brought during the products
//
// p and ds are operands A where they are, rounded to bfloat16; what they are multiplied by is turned as it is loaded. Every gradient is
// summed by one warp, in one order. Dropout, a gradient of the bias, and other widths go by attention_grad.cu's tiles.
//
// Roofline: 14 q k d FLOP, half of it causal, where one launch with sums across blocks would do with 10: 1 x 16 x 16384 x 16384 x 128 causal,
// 3.8 TFLOP, at 800 TFLOP/s 4.8 ms; the kept rows make it 64 FLOP a byte of L2, at 5.5 TB/s 11 ms.
// Plan: query_grads_of_pairs, key_grads_of_pairs: 255 registers, 2 blocks of 128 threads an SM, 68 KB of shared memory

#pragma once

#include "kernels/attention/attention_mma_cuda.h"

namespace einkorn::cuda {

constexpr float kLogOfTwo = 1.44269504088896341f;  // 1 / log 2

template <int kWidth>
struct PairsGradMemory {
  static constexpr int kRows = kWidth > 64 ? 32 : 64;
  PairsStage<kWidth, kMmaQueries> kept;
  PairsStage<kWidth, kRows> stages[2];
};

// What a query's rows of scores are turned by.
struct QueryTerms {
  float lse, delta;
};

__device__ __forceinline__ QueryTerms terms_at(const AttentionGrad<uint16_t>& x, const float* deltas, int64_t b,
                                               int64_t h, int64_t i) {
  if (i >= x.problem.q_len) return {INFINITY, 0};
  const int64_t at = (b * x.problem.heads + h) * x.problem.q_len + i;
  return {x.lse[at], deltas[at]};
}

// The score becomes the weight, the slope ds, times the scale.
__device__ __forceinline__ void turn(float& score, float& slope, const HeadMask<float>& mask, const QueryTerms& q,
                                     int64_t i, int64_t j) {
  score = power_of_two((mask.score(score, i, j) - q.lse) * kLogOfTwo);
  slope = score == 0 ? 0.0f : score * (slope - q.delta) * mask.scale;
}

template <int kWidth>
__device__ __forceinline__ void store_pairs(const Rows<uint16_t>& to, int64_t b, int64_t h, int64_t first,
                                            int64_t length, const Sums (&sums)[kWidth / 8]) {
  const int pair = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int64_t i = first + r * 8;
    if (i >= length) continue;
    uint16_t* const row = to.data + b * to.b + h * to.h + i * to.row + pair * 2;
#pragma unroll
    for (int d = 0; d < kWidth / 8; ++d)
      *reinterpret_cast<uint32_t*>(row + d * 8) = pair_of(sums[d].of[2 * r], sums[d].of[2 * r + 1]);
  }
}

template <int kWidth>
__global__ void __launch_bounds__(kMmaThreads) query_grads_of_pairs(AttentionGrad<uint16_t> x, const float* deltas) {
  using Memory = PairsGradMemory<kWidth>;
  constexpr int kRows = Memory::kRows, kChunks = kWidth / 8;
  Memory& memory = *dynamic_shared<Memory>();
  const AttentionProblem<float>& p = x.problem;
  const int t = static_cast<int>(threadIdx.x), lane = t % kWarp, warp = t / kWarp, row = lane / 4, pair = lane % 4;
  const int64_t blocks = (p.q_len + kMmaQueries - 1) / kMmaQueries, tasks = p.batch * p.heads * blocks;
  for (int64_t task = blockIdx.x; task < tasks; task += gridDim.x) {
    const int64_t number = task / blocks, i0 = (blocks - 1 - task % blocks) * kMmaQueries;
    const int64_t b = number / p.heads, h = number % p.heads, kv = h / (p.heads / p.kv_heads);
    const int64_t own = i0 + warp * 16 + row, left = p.q_len - i0, count = left < kMmaQueries ? left : kMmaQueries;
    const HeadMask<float> mask(p, b, h);
    const QueryTerms terms[2] = {terms_at(x, deltas, b, h, own), terms_at(x, deltas, b, h, own + 8)};
    const Blocks seen = blocks_in(i0, count, p.low, p.high, p.k_len);
    AsyncCopies<2 * (kMmaQueries + 2 * kRows) * kChunks / kMmaThreads> copies;
    const auto bring = [&](int64_t j0, PairsStage<kWidth, kRows>& to) {
      if (j0 < seen.end) {
        bring_rows<kWidth>(copies, to.first, x.k, b, kv, j0, p.k_len);
        bring_rows<kWidth>(copies, to.second, x.v, b, kv, j0, p.k_len);
      }
      copies.close();
    };
    bring_rows<kWidth>(copies, memory.kept.first, x.q, b, h, i0, p.q_len);
    bring_rows<kWidth>(copies, memory.kept.second, x.g, b, h, i0, p.q_len);
    bring(seen.begin, memory.stages[0]);
    Sums gq[kWidth / 8] = {};
    int now = 0;
    for (int64_t j0 = seen.begin; j0 < seen.end; j0 += kRows, now ^= 1) {
      bring(j0 + kRows, memory.stages[now ^ 1]);
      copies.template wait<1>();
      __syncthreads();
      const auto& stage = memory.stages[now];
      Sums s[kRows / 8] = {}, slopes[kRows / 8] = {};
      multiply_tiles<kWidth>(s, &memory.kept.first[warp * 16], stage.first);
      multiply_tiles<kWidth>(slopes, &memory.kept.second[warp * 16], stage.second);
#pragma unroll
      for (int n = 0; n < kRows / 8; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e)
          turn(s[n].of[e], slopes[n].of[e], mask, terms[e / 2], own + e / 2 * 8, j0 + n * 8 + pair * 2 + e % 2);
      add_turned<kWidth>(gq, slopes, stage.first);
      __syncthreads();
    }
    copies.template wait<0>();
    store_pairs<kWidth>(x.gq, b, h, own, p.q_len, gq);
    __syncthreads();  // the next task's rows are brought
  }
}

template <int kWidth>
__global__ void __launch_bounds__(kMmaThreads) key_grads_of_pairs(AttentionGrad<uint16_t> x, const float* deltas) {
  using Memory = PairsGradMemory<kWidth>;
  constexpr int kRows = Memory::kRows, kChunks = kWidth / 8;
  Memory& memory = *dynamic_shared<Memory>();
  const AttentionProblem<float>& p = x.problem;
  const int t = static_cast<int>(threadIdx.x), lane = t % kWarp, warp = t / kWarp, row = lane / 4, pair = lane % 4;
  const int64_t blocks = (p.k_len + kMmaQueries - 1) / kMmaQueries, tasks = p.batch * p.kv_heads * blocks;
  const int64_t readers = p.heads / p.kv_heads;
  for (int64_t task = blockIdx.x; task < tasks; task += gridDim.x) {
    const int64_t number = task / blocks, j0 = task % blocks * kMmaQueries;
    const int64_t b = number / p.kv_heads, kv = number % p.kv_heads, own = j0 + warp * 16 + row;
    const int64_t left = p.k_len - j0, count = left < kMmaQueries ? left : kMmaQueries;
    const Blocks seeing = blocks_in(j0, count, -p.high, -p.low, p.q_len);
    const int64_t of_head = seeing.end > seeing.begin ? (seeing.end - seeing.begin + kRows - 1) / kRows : 0;
    const int64_t steps = readers * of_head;
    AsyncCopies<2 * (kMmaQueries + 2 * kRows) * kChunks / kMmaThreads> copies;
    const auto bring = [&](int64_t step, PairsStage<kWidth, kRows>& to) {
      if (step < steps) {
        const int64_t h = kv * readers + step / of_head, i0 = seeing.begin + step % of_head * kRows;
        bring_rows<kWidth>(copies, to.first, x.q, b, h, i0, p.q_len);
        bring_rows<kWidth>(copies, to.second, x.g, b, h, i0, p.q_len);
      }
      copies.close();
    };
    bring_rows<kWidth>(copies, memory.kept.first, x.k, b, kv, j0, p.k_len);
    bring_rows<kWidth>(copies, memory.kept.second, x.v, b, kv, j0, p.k_len);
    bring(0, memory.stages[0]);
    Sums gk[kWidth / 8] = {}, gv[kWidth / 8] = {};
    for (int64_t step = 0; step < steps; ++step) {
      const int64_t h = kv * readers + step / of_head, i0 = seeing.begin + step % of_head * kRows;
      const HeadMask<float> mask(p, b, h);
      bring(step + 1, memory.stages[(step + 1) % 2]);
      copies.template wait<1>();
      __syncthreads();
      const auto& stage = memory.stages[step % 2];
      Sums s[kRows / 8] = {}, slopes[kRows / 8] = {};  // [key][query]
      multiply_tiles<kWidth>(s, &memory.kept.first[warp * 16], stage.first);
      multiply_tiles<kWidth>(slopes, &memory.kept.second[warp * 16], stage.second);
#pragma unroll
      for (int n = 0; n < kRows / 8; ++n)
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          const int64_t i = i0 + n * 8 + pair * 2 + e;
          const QueryTerms terms = terms_at(x, deltas, b, h, i);
          turn(s[n].of[e], slopes[n].of[e], mask, terms, i, own);
          turn(s[n].of[e + 2], slopes[n].of[e + 2], mask, terms, i, own + 8);
        }
      add_turned<kWidth>(gv, s, stage.second);
      add_turned<kWidth>(gk, slopes, stage.first);
      __syncthreads();
    }
    copies.template wait<0>();
    store_pairs<kWidth>(x.gk, b, kv, own, p.k_len, gk);
    store_pairs<kWidth>(x.gv, b, kv, own, p.k_len, gv);
    __syncthreads();
  }
}

template <int kWidth>
void start_grads_of_pairs(const char* name, const AttentionGrad<uint16_t>& x, const float* deltas) {
  const AttentionProblem<float>& p = x.problem;
  constexpr size_t kBytes = sizeof(PairsGradMemory<kWidth>);
  const int64_t queries = p.batch * p.heads * pieces_of(p.q_len, kMmaQueries);
  if (queries > 0) launch(name, query_grads_of_pairs<kWidth>, blocks_for(queries), kMmaThreads, kBytes, x, deltas);
  const int64_t keys = p.batch * p.kv_heads * pieces_of(p.k_len, kMmaQueries);
  if (keys > 0) launch(name, key_grads_of_pairs<kWidth>, blocks_for(keys), kMmaThreads, kBytes, x, deltas);
}

// Whether tensor cores can do it.
inline bool is_of_pairs(const AttentionGrad<uint16_t>& x) {
  const AttentionProblem<float>& p = x.problem;
  return (p.width == 64 || p.width == 128) && p.v_width == p.width && p.dropout == 0 && x.gbias == nullptr &&
         on_sixteen_bytes(x.q) && on_sixteen_bytes(x.k) && on_sixteen_bytes(x.v) && on_sixteen_bytes(x.g) &&
         on_sixteen_bytes(x.gq) && on_sixteen_bytes(x.gk) && on_sixteen_bytes(x.gv);
}

inline void grads_on_tensor_cores(const char* name, const AttentionGrad<uint16_t>& x, const float* deltas) {
  if (x.problem.width == 64)
    start_grads_of_pairs<64>(name, x, deltas);
  else
    start_grads_of_pairs<128>(name, x, deltas);
}

}  // namespace einkorn::cuda
