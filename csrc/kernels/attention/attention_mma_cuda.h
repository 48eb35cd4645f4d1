// Attention of bfloat16 on tensor cores, forward, for heads of 64 and of 128 (Dao, "FlashAttention-2", 2023): mma.sync, cp.async.
//
//   a block     4 warps, 16 queries each, whose q stays in registers as operands A
//   a step      kKeys keys: s = q k' (k's rows are operands B as they lie), the masks, the running maximum and sum of each row over the 4
//               lanes that share it, p = exp(s - m) rounded to bfloat16, which is an operand A where it is, and out += p v, with v turned as
//               it is loaded (load_turned)
//   shared      k and v twice: the next step's are brought while this one's are multiplied
//
//                  | k 0 | v 0 | k 1 | v 1 |      rows 16 bytes longer than a head, so that 8 rows lie on different banks
//
// Blocks of keys that no query of the block sees are passed over. Rows must lie on 16 bytes; dropout, other widths and other types go by
// attention.cu's tiles. On compute capability 9.0 attention_wgmma_cuda.h takes what this takes.
//
// Roofline: 4 q k d FLOP, half of it causal. 1 x 16 x 16384 x 16384 x 128 causal, 1.1 TFLOP, at 800 TFLOP/s 1.4 ms; mma.sync reaches some
// two thirds of that rate on an H100. k and v from L2 once for 64 queries: 64 FLOP a byte, at 5.5 TB/s 350 TFLOP/s is the bound.
// Plan: attend_pairs: 255 registers, 2 blocks of 128 threads an SM, 68 KB of shared memory

#pragma once

#include "kernels/attention/attention_cuda.h"
#include "kernels/cuda_copy.h"
#include "kernels/cuda_mma.h"

namespace einkorn::cuda {

constexpr int kMmaWarps = 4, kMmaQueries = 16 * kMmaWarps, kMmaKeys = 64, kMmaThreads = 32 * kMmaWarps;

// Rows of two operands: k and v, or q and g.
template <int kWidth, int kRows>
struct PairsStage {
  static constexpr int kPitch = kWidth + 8;
  uint16_t first[kRows][kPitch];
  uint16_t second[kRows][kPitch];
};

__device__ __forceinline__ uint32_t word_at(const uint16_t* p) {
  return *reinterpret_cast<const uint32_t*>(p);
}

__device__ __forceinline__ uint32_t pair_of(float low, float high) {
#if __CUDA_ARCH__ >= 800
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
#else
  return narrowed<uint16_t>(low) | static_cast<uint32_t>(narrowed<uint16_t>(high)) << 16;
#endif
}

// 2^x by one instruction, within 2^-22 of it; denormal results are 0.
__device__ __forceinline__ float power_of_two(float x) {
#if __CUDA_ARCH__ >= 800
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return ::exp2f(x);
#endif
}

// Weights of 16 rows and 16 keys, rounded to bfloat16: an operand where they are.
__device__ __forceinline__ PairsA operand_of(const Sums& low, const Sums& high) {
  return {{pair_of(low.of[0], low.of[1]), pair_of(low.of[2], low.of[3]), pair_of(high.of[0], high.of[1]),
           pair_of(high.of[2], high.of[3])}};
}

// kRows rows of a head from `begin` on, zeros beyond the last one.
template <int kWidth, int kRows, class Copies>
__device__ __forceinline__ void bring_rows(Copies& copies, uint16_t (&to)[kRows][kWidth + 8],
                                           const Rows<const uint16_t>& from, int64_t b, int64_t h, int64_t begin,
                                           int64_t length) {
  constexpr int kChunks = kWidth / 8;  // of 16 bytes
  const uint16_t* const rows = from.data + b * from.b + h * from.h;
#pragma unroll
  for (int c = static_cast<int>(threadIdx.x); c < kRows * kChunks; c += kMmaThreads) {
    const int line = c / kChunks, at = c % kChunks * 8;
    const bool live = begin + line < length;
    copies.bring(&to[line][at], rows + (live ? begin + line : 0) * from.row + at, live);
  }
}

// s += a b', 16 rows of a by kRows rows of b, both as they lie.
template <int kWidth, int kRows>
__device__ __forceinline__ void multiply_tiles(Sums (&s)[kRows], const uint16_t (*a)[kWidth + 8],
                                               const uint16_t (*b)[kWidth + 8]) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp, row = lane / 4, pair = lane % 4;
#pragma unroll
  for (int step = 0; step < kWidth / 16; ++step) {
    PairsA left;
#pragma unroll
    for (int part = 0; part < 4; ++part)
      left.of[part] = word_at(&a[row + part % 2 * 8][step * 16 + part / 2 * 8 + pair * 2]);
#pragma unroll
    for (int n = 0; n < kRows; ++n) {
      const uint16_t* const from = &b[n * 8 + row][step * 16 + pair * 2];
      multiply_pairs(s[n], left, PairsB{{word_at(from), word_at(from + 8)}});
    }
  }
}

// out += w b: w, 16 rows by 8 kRows, rounded to bfloat16; b's 8 kRows rows turned as they are loaded.
template <int kWidth, int kRows>
__device__ __forceinline__ void add_turned(Sums (&out)[kWidth / 8], const Sums (&w)[kRows],
                                           const uint16_t (*b)[kWidth + 8]) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
#pragma unroll
  for (int step = 0; step < kRows / 2; ++step) {
    const PairsA left = operand_of(w[2 * step], w[2 * step + 1]);
#pragma unroll
    for (int d = 0; d < kWidth / 16; ++d) {
      const TwoPairsB right = load_turned(&b[step * 16 + lane % 16][d * 16 + lane / 16 * 8]);
      multiply_pairs(out[2 * d], left, right.of[0]);
      multiply_pairs(out[2 * d + 1], left, right.of[1]);
    }
  }
}

// Both rows of a thread, r and r + 8 of its warp's.
struct RowState {
  float top[2], sum[2];
};

// Scores, but for `factor` (positive), become weights. Returns by how much what was summed so far shrinks.
template <int kGroups>
__device__ __forceinline__ void weigh(Sums (&s)[kGroups], RowState& rows, float (&shrink)[2], float factor) {
  constexpr float kLog2 = 1.44269504088896341f;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float largest = -INFINITY;
#pragma unroll
    for (int n = 0; n < kGroups; ++n)
#pragma unroll
      for (int e = 2 * r; e < 2 * r + 2; ++e) largest = larger(s[n].of[e], largest);
    largest = fold_group<4>(largest, larger<float>, shuffle_xor<float>);
    largest = larger(largest * factor, rows.top[r]);
    const float base = largest == -INFINITY ? 0.0f : largest * kLog2;  // nothing seen so far
    const float unit = factor * kLog2;
    float more = 0;
#pragma unroll
    for (int n = 0; n < kGroups; ++n)
#pragma unroll
      for (int e = 2 * r; e < 2 * r + 2; ++e) {
        s[n].of[e] = power_of_two(s[n].of[e] * unit - base);
        more += s[n].of[e];
      }
    shrink[r] = power_of_two(rows.top[r] * kLog2 - base);
    rows.sum[r] = rows.sum[r] * shrink[r] + summed<4>(more);
    rows.top[r] = largest;
  }
}

// Columns from `from` to `until` of 2 pair, 2 pair + 1 and every 8 further, by rows r and r + 8; the others are hidden.
template <int kGroups>
__device__ __forceinline__ void hide(Sums (&s)[kGroups], const int (&from)[2], const int (&until)[2]) {
#pragma unroll
  for (int n = 0; n < kGroups; ++n)
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      const int column = n * 8 + e % 2;
      if (column < from[e / 2] || column > until[e / 2]) s[n].of[e] = -INFINITY;
    }
}

// Whether nothing but a band of keys hides or shifts scores.
__host__ __device__ __forceinline__ bool is_band(const AttentionProblem<float>& p) {
  return p.bias == nullptr && p.keep == nullptr && p.slopes == nullptr && p.scale > 0;
}

// The scores of kRows queries from `begin` on and 8 kGroups keys from j0 on; `own` is the first row of the thread, which has columns 2 pair and
// 2 pair + 1 of every 8.
template <int kRows, bool kBandAlone, int kGroups>
__device__ __forceinline__ void weigh_masked(Sums (&s)[kGroups], RowState& rows, float (&shrink)[2],
                                             const AttentionProblem<float>& p, int64_t b, int64_t h, int64_t begin,
                                             int64_t j0, int64_t own, int pair) {
  constexpr int kKeys = 8 * kGroups;
  const int64_t first = j0 + pair * 2;
  float factor = p.scale;
  if (!kBandAlone && !is_band(p)) {
    const HeadMask<float> mask(p, b, h);
    factor = 1;
#pragma unroll
    for (int n = 0; n < kGroups; ++n) {
#pragma unroll
      for (int e = 0; e < 4; ++e) s[n].of[e] = mask.score(s[n].of[e], own + e / 2 * 8, first + n * 8 + e % 2);
      asm volatile("" ::: "memory");  // no more than these are read at once: registers are short
    }
  } else if (begin + kRows > p.q_len || j0 + kKeys > p.k_len || j0 - (begin + kRows - 1) < p.low ||
             j0 + kKeys - 1 - begin > p.high) {  // else nothing is hidden
    int from[2], until[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int64_t i = own + r * 8, last = i + p.high < p.k_len ? i + p.high : p.k_len - 1;
      const int64_t low = i + p.low - first, high = i < p.q_len ? last - first : -1;
      from[r] = low > kKeys ? kKeys : static_cast<int>(low < 0 ? 0 : low);
      until[r] = high < -1 ? -1 : static_cast<int>(high > kKeys ? kKeys : high);
    }
    hide(s, from, until);
  }
  weigh(s, rows, shrink, factor);
}

template <int kGroups>
__device__ __forceinline__ void scale_rows(Sums (&out)[kGroups], const float (&factor)[2]) {
#pragma unroll
  for (int d = 0; d < kGroups; ++d)
#pragma unroll
    for (int e = 0; e < 4; ++e) out[d].of[e] *= factor[e / 2];
}

// What was summed, by the sum of its weights, to both rows of a thread.
template <int kGroups>
__device__ __forceinline__ void store_attended(const Attention<uint16_t>& x, int64_t b, int64_t h, int64_t own,
                                               int pair, const RowState& rows, const Sums (&out)[kGroups]) {
  const AttentionProblem<float>& p = x.problem;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int64_t i = own + r * 8;
    if (i >= p.q_len) continue;
    const bool hidden = rows.sum[r] == 0;
    const float scale = hidden ? 0.0f : 1 / rows.sum[r];
    uint16_t* const to = x.out.data + b * x.out.b + h * x.out.h + i * x.out.row;
#pragma unroll
    for (int d = 0; d < kGroups; ++d)
      *reinterpret_cast<uint32_t*>(to + d * 8 + pair * 2) =
          hidden ? 0u : pair_of(out[d].of[2 * r] * scale, out[d].of[2 * r + 1] * scale);
    if (x.lse != nullptr && pair == 0)
      x.lse[(b * p.heads + h) * p.q_len + i] = hidden ? INFINITY : rows.top[r] + ::logf(rows.sum[r]);
  }
}

template <int kWidth>
__global__ void __launch_bounds__(kMmaThreads, 2) attend_pairs(Attention<uint16_t> x) {
  using Stage = PairsStage<kWidth, kMmaKeys>;
  constexpr int kSteps = kWidth / 16, kChunks = kWidth / 8;  // of 16 numbers of a row; of 16 bytes
  Stage* const stages = dynamic_shared<Stage>();
  const AttentionProblem<float>& p = x.problem;
  const int t = static_cast<int>(threadIdx.x), lane = t % kWarp, warp = t / kWarp, row = lane / 4, pair = lane % 4;
  const int64_t blocks = (p.q_len + kMmaQueries - 1) / kMmaQueries, tasks = p.batch * p.heads * blocks;
  for (int64_t task = blockIdx.x; task < tasks; task += gridDim.x) {
    const int64_t number = task / blocks, block = blocks - 1 - task % blocks;  // the most work first
    const int64_t b = number / p.heads, h = number % p.heads, kv = h / (p.heads / p.kv_heads);
    const int64_t i0 = block * kMmaQueries, own = i0 + warp * 16 + row;
    PairsA q[kSteps];
#pragma unroll
    for (int step = 0; step < kSteps; ++step)
#pragma unroll
      for (int part = 0; part < 4; ++part) {
        const int64_t i = own + part % 2 * 8;
        const uint16_t* const from = x.q.data + b * x.q.b + h * x.q.h + i * x.q.row;
        q[step].of[part] = i < p.q_len ? word_at(from + step * 16 + part / 2 * 8 + pair * 2) : 0u;
      }
    Sums out[kWidth / 8] = {};
    RowState rows = {{-INFINITY, -INFINITY}, {0, 0}};
    const int64_t left = p.q_len - i0, count = left < kMmaQueries ? left : kMmaQueries;
    const Blocks seen = blocks_in(i0, count, p.low, p.high, p.k_len);

    AsyncCopies<4 * kMmaKeys * kChunks / kMmaThreads> copies;
    const auto bring = [&](int64_t j0, Stage& to) {
      if (j0 < seen.end) {
        bring_rows<kWidth>(copies, to.first, x.k, b, kv, j0, p.k_len);
        bring_rows<kWidth>(copies, to.second, x.v, b, kv, j0, p.k_len);
      }
      copies.close();
    };
    bring(seen.begin, stages[0]);
    int now = 0;
    for (int64_t j0 = seen.begin; j0 < seen.end; j0 += kMmaKeys, now ^= 1) {
      bring(j0 + kMmaKeys, stages[now ^ 1]);
      copies.template wait<1>();
      __syncthreads();
      const Stage& stage = stages[now];
      Sums s[kMmaKeys / 8] = {};
#pragma unroll
      for (int step = 0; step < kSteps; ++step)
#pragma unroll
        for (int n = 0; n < kMmaKeys / 8; ++n) {
          const uint16_t* const key = &stage.first[n * 8 + row][step * 16 + pair * 2];
          multiply_pairs(s[n], q[step], PairsB{{word_at(key), word_at(key + 8)}});
        }
      float shrink[2];
      weigh_masked<kMmaQueries, false>(s, rows, shrink, p, b, h, i0, j0, own, pair);
      scale_rows(out, shrink);
      add_turned<kWidth>(out, s, stage.second);
      __syncthreads();  // the stage is read: the step after the next is brought to it
    }
    copies.template wait<0>();
    store_attended(x, b, h, own, pair, rows, out);
  }
}

template <class P>
bool on_sixteen_bytes(const Rows<P>& rows) {
  return is_aligned(rows.data, 16) && rows.b % 8 == 0 && rows.h % 8 == 0 && rows.row % 8 == 0;
}

// Whether tensor cores can do it: heads of 64 and of 128 on 16 bytes, nothing dropped.
inline bool is_of_pairs(const Attention<uint16_t>& x) {
  const AttentionProblem<float>& p = x.problem;
  return (p.width == 64 || p.width == 128) && p.v_width == p.width && p.dropout == 0 && on_sixteen_bytes(x.q) &&
         on_sixteen_bytes(x.k) && on_sixteen_bytes(x.v) && on_sixteen_bytes(x.out);
}

inline void attend_on_tensor_cores(const char* name, const Attention<uint16_t>& x) {
  const AttentionProblem<float>& p = x.problem;
  const unsigned blocks = blocks_for(p.batch * p.heads * pieces_of(p.q_len, kMmaQueries));
  if (p.width == 64)
    launch(name, attend_pairs<64>, blocks, kMmaThreads, 2 * sizeof(PairsStage<64, kMmaKeys>), x);
  else
    launch(name, attend_pairs<128>, blocks, kMmaThreads, 2 * sizeof(PairsStage<128, kMmaKeys>), x);
}

}  // namespace einkorn::cuda
