// Attention of bfloat16 on Hopper's own instructions, backward: the two launches of attention_mma_grad_cuda.h by the means of
// attention_groups_cuda.h. Each gradient has one group of warps that sums it, in one order.
//
//   queries    a block keeps 128 queries of q and g:   s = q k',  slope = g v',  ds = p (slope - delta);   gq += ds k
//   keys       a block keeps 128 keys of k and v:      s = k q',  slope = v g',  ds likewise;              gk += ds' q,  gv += p' g
//
// Both are one kernel: first = kept.first staged.first', second = kept.second staged.second', and the sums add what is staged, turned. A step is
// 64 staged rows, 32 in heads of 128, whose sums take 128 registers a thread for keys.
//
//   products    s 1  slope 1          sums 1  s 2  slope 2          sums 2  s 3 ...
//   the group                 turn 1                        turn 2                      the other group fills what is left
//
//   shared      | kept: two x 128 rows | place 0: two x a step's rows | place 1 | barriers |
//
// Roofline: 14 q k d FLOP, half of it causal, where one launch with sums across blocks would do with 10: 1 x 16 x 16384 x 16384 x 128 causal,
// 3.8 TFLOP, at 800 TFLOP/s 4.8 ms; the kept rows make it 128 FLOP a byte of L2, at 5.5 TB/s 5.5 ms. It has run on the host device alone.
// Plan: grads_of_groups: 168 registers, 1 block of 384 threads an SM, 130 KB of shared memory

#pragma once

#include "kernels/attention/attention_groups_cuda.h"
#include "kernels/attention/attention_mma_grad_cuda.h"

namespace einkorn::cuda {

constexpr int kKeptRows = kBlockGroups * kGroupRows;

template <int kWidth>
struct GroupGradMemory {
  static constexpr int kBoxes = kWidth / kBoxColumns, kStep = kWidth > 64 ? 32 : 64;
  uint16_t kept[2][kBoxes][kKeptRows][kBoxColumns];
  uint16_t staged[kPlaces][2][kBoxes][kStep][kBoxColumns];
  PhaseBarrier kept_there, kept_free, there[kPlaces], free[kPlaces];
};

// Of queries: q and g are kept, k and v staged; of keys the other way round.
struct GradMaps {
  TensorMap kept[2], staged[2];
};

// The rows that a block keeps, and the steps over what they are seen by or see.
template <bool kOfKeys, int kStep>
struct GradBlock {
  int64_t b, head, first, readers, begin, of_head, steps;

  __device__ __forceinline__ GradBlock(const AttentionProblem<float>& p, int64_t task) {
    const int64_t length = kOfKeys ? p.k_len : p.q_len, heads = kOfKeys ? p.kv_heads : p.heads;
    const int64_t blocks = (length + kKeptRows - 1) / kKeptRows, number = task / blocks, at = task % blocks;
    b = number / heads;
    head = number % heads;
    first = (kOfKeys ? at : blocks - 1 - at) * kKeptRows;  // under a causal mask the most work first
    readers = p.heads / p.kv_heads;
    const int64_t left = length - first, count = left < kKeptRows ? left : kKeptRows;
    const Blocks seen =
        kOfKeys ? blocks_in(first, count, -p.high, -p.low, p.q_len) : blocks_in(first, count, p.low, p.high, p.k_len);
    begin = seen.begin;
    of_head = seen.end > seen.begin ? (seen.end - seen.begin + kStep - 1) / kStep : 0;
    steps = kOfKeys ? readers * of_head : of_head;
  }

  __device__ __forceinline__ int64_t query_head(int64_t step) const {
    return kOfKeys ? head * readers + step / of_head : head;
  }
  __device__ __forceinline__ int64_t staged_head(int64_t step) const {
    return kOfKeys ? query_head(step) : head / readers;
  }
  __device__ __forceinline__ int64_t staged_row(int64_t step) const { return begin + step % of_head * kStep; }
};

// One thread.
template <bool kOfKeys, int kWidth>
__device__ __forceinline__ void bring_grad_operands(GroupGradMemory<kWidth>& memory, const AttentionProblem<float>& p,
                                                    const GradMaps& maps, int64_t tasks) {
  using Block = GradBlock<kOfKeys, GroupGradMemory<kWidth>::kStep>;
  uint32_t kept = 0, staged = 0;
  for (int64_t task = blockIdx.x; task < tasks; task += gridDim.x) {
    const Block block(p, task);
    if (block.steps == 0) continue;
    memory.kept_free.wait(kept++ % 2 ^ 1);
    memory.kept_there.expect(sizeof memory.kept);
    for (int which = 0; which < 2; ++which)
      bring_boxes(memory.kept[which], maps.kept[which], block.b, block.head, block.first, memory.kept_there);
    for (int64_t step = 0; step < block.steps; ++step) {
      const Place place(staged++);
      memory.free[place.at].wait(place.parity ^ 1);
      memory.there[place.at].expect(sizeof memory.staged[0]);
      for (int which = 0; which < 2; ++which)
        bring_boxes(memory.staged[place.at][which], maps.staged[which], block.b, block.staged_head(step),
                    block.staged_row(step), memory.there[place.at]);
    }
  }
}

// Scores become weights and slopes ds, times the scale. own, own + 8: the thread's kept rows; its staged ones are from j on, 2 of every 8.
template <bool kOfKeys, int kGroups>
__device__ __forceinline__ void turn_scores(Sums (&s)[kGroups], Sums (&slopes)[kGroups],
                                            const AttentionGrad<uint16_t>& x, const float* deltas, int64_t b, int64_t h,
                                            int64_t kept, int64_t staged, int64_t own, int pair) {
  const HeadMask<float> mask(x.problem, b, h);
  const int64_t i0 = kOfKeys ? staged : kept, queries = kOfKeys ? 8 * kGroups : kGroupRows;
  const int64_t j0 = kOfKeys ? kept : staged, keys = kOfKeys ? kGroupRows : 8 * kGroups;
  const bool all = mask.bias == nullptr && mask.keep == nullptr && mask.slope == 0 && i0 + queries <= mask.q_len &&
                   j0 + keys <= mask.k_len && j0 - (i0 + queries - 1) >= mask.low && j0 + keys - 1 - i0 <= mask.high;
  const float unit = mask.scale * kLogOfTwo;
  QueryTerms rows[2];
  if (!kOfKeys)
    for (int r = 0; r < 2; ++r) rows[r] = terms_at(x, deltas, b, h, own + r * 8);
#pragma unroll
  for (int n = 0; n < kGroups; ++n) {
    const int64_t first = staged + n * 8 + pair * 2;
    QueryTerms columns[2];
    if (kOfKeys)
      for (int c = 0; c < 2; ++c) columns[c] = terms_at(x, deltas, b, h, first + c);
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      const QueryTerms& terms = kOfKeys ? columns[e % 2] : rows[e / 2];
      float &score = s[n].of[e], &slope = slopes[n].of[e];
      if (all) {  // nothing is hidden
        score = power_of_two(score * unit - terms.lse * kLogOfTwo);
        slope = score * (slope - terms.delta) * mask.scale;
      } else {
        const int64_t row = own + e / 2 * 8, column = first + e % 2;
        turn(score, slope, mask, terms, kOfKeys ? column : row, kOfKeys ? row : column);
      }
    }
  }
}

template <bool kOfKeys, int kWidth>
__device__ __forceinline__ void sum_grads(GroupGradMemory<kWidth>& memory, const AttentionGrad<uint16_t>& x,
                                          const float* deltas, int64_t tasks, int warp) {
  using Memory = GroupGradMemory<kWidth>;
  constexpr int kStep = Memory::kStep, kScores = kStep / 8, kSteps = kStep / 16, kValues = kOfKeys ? kWidth / 8 : 8;
  const AttentionProblem<float>& p = x.problem;
  const int lane = static_cast<int>(threadIdx.x) % kWarp, pair = lane % 4, first = warp / 4 * kGroupRows;
  GroupProducts<2 * kWidth / 16 + 2 * kSteps> products;
  Sums s[kScores], slopes[kScores], sums[kWidth / 8], values[kValues];
  PairsA ds[kSteps], weights[kSteps];
  uint32_t kept = 0, staged = 0;

  for (int64_t task = blockIdx.x; task < tasks; task += gridDim.x) {
    const GradBlock<kOfKeys, kStep> block(p, task);
    const int64_t begin = block.first + first, own = begin + warp % 4 * 16 + lane / 4;
#pragma unroll
    for (int d = 0; d < kWidth / 8; ++d) sums[d] = {};
#pragma unroll
    for (int d = 0; d < kValues; ++d) values[d] = {};
    if (block.steps > 0) memory.kept_there.wait(kept++ % 2);
    for (int64_t step = 0; step < block.steps; ++step) {
      const Place before(staged - 1), place(staged);
      ++staged;
      memory.there[place.at].wait(place.parity);
      ask_scores(products, s, memory.kept[0], first, memory.staged[place.at][0]);
      ask_scores(products, slopes, memory.kept[1], first, memory.staged[place.at][1]);
      products.template wait<0>(s);
      products.template wait<0>(slopes);
      products.template wait<0>(sums);
      if (kOfKeys) products.template wait<0>(values);
      if (step > 0) release(memory.free[before.at]);
      turn_scores<kOfKeys>(s, slopes, x, deltas, block.b, block.query_head(step), begin, block.staged_row(step), own,
                           pair);
#pragma unroll
      for (int at = 0; at < kSteps; ++at) {
        ds[at] = operand_of(slopes[2 * at], slopes[2 * at + 1]);
        if (kOfKeys) weights[at] = operand_of(s[2 * at], s[2 * at + 1]);
      }
      ask_sums(products, sums, ds, memory.staged[place.at][0]);
      if constexpr (kOfKeys) ask_sums(products, values, weights, memory.staged[place.at][1]);
    }
    products.template wait<0>(sums);
    if (kOfKeys) products.template wait<0>(values);
    if (block.steps > 0) {
      release(memory.free[Place(staged - 1).at]);
      release(memory.kept_free);
    }
    if constexpr (kOfKeys) {
      store_pairs<kWidth>(x.gk, block.b, block.head, own, p.k_len, sums);
      store_pairs<kWidth>(x.gv, block.b, block.head, own, p.k_len, values);
    } else {
      store_pairs<kWidth>(x.gq, block.b, block.head, own, p.q_len, sums);
    }
  }
}

template <bool kOfKeys, int kWidth>
__global__ void __launch_bounds__(kAttendThreads, 1)
    grads_of_groups([[maybe_unused]] AttentionGrad<uint16_t> x, [[maybe_unused]] const float* deltas,
                    [[maybe_unused]] const __grid_constant__ GradMaps maps, [[maybe_unused]] int64_t tasks) {
#if defined(EINKORN_CUDA_HOST) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
  auto& memory = aligned_shared<GroupGradMemory<kWidth>>();
  if (threadIdx.x == 0) {
    memory.kept_there.make(1);
    memory.kept_free.make(kReaders);
    for (int at = 0; at < kPlaces; ++at) {
      memory.there[at].make(1);
      memory.free[at].make(kReaders);
    }
    publish_barriers();
  }
  __syncthreads();
  const int warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / kWarp, 0);
  if (warp < kReaders) {
    take_registers<kReaderRegisters>();
    sum_grads<kOfKeys>(memory, x, deltas, tasks, warp);
  } else {
    leave_registers<kBringerRegisters>();
    if (threadIdx.x == kReaders * kWarp) bring_grad_operands<kOfKeys>(memory, x.problem, maps, tasks);
  }
#else
  __trap();
#endif
}

// Both launches; false: the copy engine does not take an operand.
template <int kWidth>
bool start_grads_of_groups(const char* name, const AttentionGrad<uint16_t>& x, const float* deltas) {
  const AttentionProblem<float>& p = x.problem;
  constexpr unsigned kStep = GroupGradMemory<kWidth>::kStep;
  constexpr size_t kBytes = sizeof(GroupGradMemory<kWidth>) + kBoxAlignment;
  GradMaps of_queries, of_keys;
  const auto query_maps = [&](TensorMap(&maps)[2], unsigned rows) {
    return describe_rows(maps[0], x.q, p.batch, p.heads, p.q_len, kWidth, rows) &&
           describe_rows(maps[1], x.g, p.batch, p.heads, p.q_len, kWidth, rows);
  };
  const auto key_maps = [&](TensorMap(&maps)[2], unsigned rows) {
    return describe_rows(maps[0], x.k, p.batch, p.kv_heads, p.k_len, kWidth, rows) &&
           describe_rows(maps[1], x.v, p.batch, p.kv_heads, p.k_len, kWidth, rows);
  };
  if (!query_maps(of_queries.kept, kKeptRows) || !key_maps(of_queries.staged, kStep) ||
      !key_maps(of_keys.kept, kKeptRows) || !query_maps(of_keys.staged, kStep))
    return false;
  const int64_t queries = p.batch * p.heads * pieces_of(p.q_len, kKeptRows);
  launch(name, grads_of_groups<false, kWidth>, blocks_for(queries), kAttendThreads, kBytes, x, deltas, of_queries,
         queries);
  const int64_t keys = p.batch * p.kv_heads * pieces_of(p.k_len, kKeptRows);
  launch(name, grads_of_groups<true, kWidth>, blocks_for(keys), kAttendThreads, kBytes, x, deltas, of_keys, keys);
  return true;
}

// Whether it was done so. is_of_pairs(x) holds.
inline bool grads_by_groups(const char* name, const AttentionGrad<uint16_t>& x, const float* deltas) {
  const AttentionProblem<float>& p = x.problem;
  if (!takes_groups(p.q_len < p.k_len ? p.q_len : p.k_len)) return false;
  return p.width == 64 ? start_grads_of_groups<64>(name, x, deltas) : start_grads_of_groups<128>(name, x, deltas);
}

}  // namespace einkorn::cuda
