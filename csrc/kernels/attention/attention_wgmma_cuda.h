// Attention of bfloat16 on Hopper's own instructions, forward, for heads of 64 and of 128 (Shah et al., "FlashAttention-3", 2024): one thread brings
// boxes of q, k and v by the copy engine, two groups of four warps multiply.
//
//   a block     128 queries of a head; group g has 64 of them
//   a thread    of a third group, whose registers go to the other two: q once, then k and v of kGroupKeys keys at a time into two places each, as they become free
//   a step      a group asks for s' = q k'' of the next keys, and for out += p v of these; while both go on it waits for s' alone, weighs it
//               (the masks, the maximum and sum of each row over the 4 lanes that share it), then waits for out and shrinks it, and rounds s' to
//               the next p, which is an operand in registers where it is
//
//        copies     k1 v1   k2 v2   k3 v3                              there / free: a barrier with phases for each place, k and v apart
//        products   q k1    q k2   p1 v1   q k3   p2 v2   p3 v3
//        the group          weigh1         weigh2         weigh3       while the products beside it go on; the other group fills what is left
//
//   shared      | q | k 0 | k 1 | v 0 | v 1 | barriers |      boxes of rows x 64 numbers, 128 bytes a row, chunks turned (cuda_bulk.h);
//                                                            heads of 128 are two boxes, one behind the other
//
// k lies as the product takes it; v's rows lie along the sum: a turned operand. Masks are those of attention_mma_cuda.h, by the same function; blocks
// of keys that no query of the block sees are not brought. By attention_mma_cuda.h go, as on all other cards: heads of 128 with a mask other than a
// band (its terms beside the sums spilled 256 bytes a thread), strides that the copy engine does not take (negative ones, 0 across heads), and few
// queries. EINKORN_CUDA_ATTENTION, "mma" or "wgmma", chooses.
//
// Roofline: 4 q k d FLOP, half of it causal. 1 x 16 x 16384 x 16384 x 128 causal, 1.1 TFLOP, at 800 TFLOP/s 1.4 ms. k and v from L2 once for 128
// queries: 128 FLOP a byte, at 5.5 TB/s 700 TFLOP/s, so that copies are not far from the bound. Weighing is 16 powers of two a clock and SM:
// q k / (16 x 132 x 1.7 GHz), .6 ms of it, hidden by products where both groups are not at it at once.
// It has run on the host device alone: no card has been asked yet whether a third group, or turns of the groups by barriers, gain anything.
// Plan: attend_groups: 168 registers, 1 block of 384 threads an SM, 162 KB of shared memory

#pragma once

#include "kernels/attention/attention_groups_cuda.h"

namespace einkorn::cuda {

template <int kWidth>
struct GroupMemory {
  static constexpr int kBoxes = kWidth / kBoxColumns;
  uint16_t q[kBoxes][kGroupQueries][kBoxColumns];
  uint16_t k[kPlaces][kBoxes][kGroupKeys][kBoxColumns];
  uint16_t v[kPlaces][kBoxes][kGroupKeys][kBoxColumns];
  PhaseBarrier q_there, q_free, k_there[kPlaces], k_free[kPlaces], v_there[kPlaces], v_free[kPlaces];
};

struct AttentionMaps {
  TensorMap q, k, v;
};

// The queries of a block, and the keys that some of them may see.
struct QueryBlock {
  int64_t b, h, kv, i0;
  Blocks seen;

  __device__ __forceinline__ QueryBlock(const AttentionProblem<float>& p, int64_t task) {
    const int64_t blocks = (p.q_len + kGroupQueries - 1) / kGroupQueries, number = task / blocks;
    b = number / p.heads;
    h = number % p.heads;
    kv = h / (p.heads / p.kv_heads);
    i0 = (blocks - 1 - task % blocks) * kGroupQueries;  // the most work first
    const int64_t left = p.q_len - i0;
    seen = blocks_in(i0, left < kGroupQueries ? left : kGroupQueries, p.low, p.high, p.k_len);
  }
};

// One thread: what the groups need, in the order in which they need it.
template <int kWidth>
__device__ __forceinline__ void bring_operands(GroupMemory<kWidth>& memory, const AttentionProblem<float>& p,
                                               const AttentionMaps& maps, int64_t tasks) {
  uint32_t queries = 0, keys = 0;
  for (int64_t task = blockIdx.x; task < tasks; task += gridDim.x) {
    const QueryBlock block(p, task);
    if (block.seen.begin >= block.seen.end) continue;
    memory.q_free.wait(queries++ % 2 ^ 1);
    memory.q_there.expect(sizeof memory.q);
    bring_boxes(memory.q, maps.q, block.b, block.h, block.i0, memory.q_there);
    for (int64_t j0 = block.seen.begin; j0 < block.seen.end; j0 += kGroupKeys) {
      const Place place(keys++);
      memory.k_free[place.at].wait(place.parity ^ 1);
      memory.k_there[place.at].expect(sizeof memory.k[0]);
      bring_boxes(memory.k[place.at], maps.k, block.b, block.kv, j0, memory.k_there[place.at]);
      memory.v_free[place.at].wait(place.parity ^ 1);
      memory.v_there[place.at].expect(sizeof memory.v[0]);
      bring_boxes(memory.v[place.at], maps.v, block.b, block.kv, j0, memory.v_there[place.at]);
    }
  }
}

template <int kWidth>
__device__ __forceinline__ void attend(GroupMemory<kWidth>& memory, const Attention<uint16_t>& x, int64_t tasks,
                                       int warp) {
  constexpr int kScores = kGroupKeys / 8, kSteps = kGroupKeys / 16;
  constexpr bool kBandAlone = kWidth > 64;  // registers are short
  using Products = GroupProducts<kWidth / 16 + kSteps>;
  const AttentionProblem<float>& p = x.problem;
  const int lane = static_cast<int>(threadIdx.x) % kWarp, pair = lane % 4, first = warp / 4 * kGroupRows;
  Products products;
  Sums s[kScores], out[kWidth / 8];
  PairsA weights[kSteps];
  RowState rows;
  float shrink[2];
  uint32_t queries = 0, keys = 0;

  const auto round_weights = [&] {
#pragma unroll
    for (int step = 0; step < kSteps; ++step) weights[step] = operand_of(s[2 * step], s[2 * step + 1]);
  };

  for (int64_t task = blockIdx.x; task < tasks; task += gridDim.x) {
    const QueryBlock block(p, task);
    const int64_t begin = block.i0 + first, own = begin + warp % 4 * 16 + lane / 4;
#pragma unroll
    for (int d = 0; d < kWidth / 8; ++d) out[d] = {};
    rows = {{-INFINITY, -INFINITY}, {0, 0}};
    if (block.seen.begin < block.seen.end) {
      memory.q_there.wait(queries++ % 2);
      Place before(keys++);
      memory.k_there[before.at].wait(before.parity);
      ask_scores(products, s, memory.q, first, memory.k[before.at]);
      products.template wait<0>(s);
      release(memory.k_free[before.at]);
      weigh_masked<kGroupRows, kBandAlone>(s, rows, shrink, p, block.b, block.h, begin, block.seen.begin, own, pair);
      round_weights();
      for (int64_t j0 = block.seen.begin + kGroupKeys; j0 < block.seen.end; j0 += kGroupKeys) {
        const Place place(keys++);
        memory.k_there[place.at].wait(place.parity);
        ask_scores(products, s, memory.q, first, memory.k[place.at]);
        memory.v_there[before.at].wait(before.parity);
        ask_sums(products, out, weights, memory.v[before.at]);
        products.template wait<1>(s);
        release(memory.k_free[place.at]);
        weigh_masked<kGroupRows, kBandAlone>(s, rows, shrink, p, block.b, block.h, begin, j0, own, pair);
        products.template wait<0>(out);
        release(memory.v_free[before.at]);
        scale_rows(out, shrink);
        round_weights();
        before = place;
      }
      release(memory.q_free);
      memory.v_there[before.at].wait(before.parity);
      ask_sums(products, out, weights, memory.v[before.at]);
      products.template wait<0>(out);
      release(memory.v_free[before.at]);
    }
    store_attended(x, block.b, block.h, own, pair, rows, out);
  }
}

template <int kWidth>
__global__ void __launch_bounds__(kAttendThreads, 1)
    attend_groups([[maybe_unused]] Attention<uint16_t> x, [[maybe_unused]] const __grid_constant__ AttentionMaps maps,
                  [[maybe_unused]] int64_t tasks) {
#if defined(EINKORN_CUDA_HOST) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
  auto& memory = aligned_shared<GroupMemory<kWidth>>();
  if (threadIdx.x == 0) {
    memory.q_there.make(1);
    memory.q_free.make(kReaders);
    for (int at = 0; at < kPlaces; ++at) {
      memory.k_there[at].make(1);
      memory.v_there[at].make(1);
      memory.k_free[at].make(kReaders);
      memory.v_free[at].make(kReaders);
    }
    publish_barriers();
  }
  __syncthreads();
  const int warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / kWarp, 0);
  if (warp < kReaders) {
    take_registers<kReaderRegisters>();
    attend(memory, x, tasks, warp);
  } else {
    leave_registers<kBringerRegisters>();
    if (threadIdx.x == kReaders * kWarp) bring_operands(memory, x.problem, maps, tasks);
  }
#else
  __trap();
#endif
}

template <int kWidth>
void start_attention_of_groups(const char* name, const Attention<uint16_t>& x, const AttentionMaps& maps) {
  const AttentionProblem<float>& p = x.problem;
  const int64_t tasks = p.batch * p.heads * pieces_of(p.q_len, kGroupQueries);
  constexpr size_t kBytes = sizeof(GroupMemory<kWidth>) + kBoxAlignment;
  launch(name, attend_groups<kWidth>, blocks_for(tasks), kAttendThreads, kBytes, x, maps, tasks);
}

// Whether it was done so. is_of_pairs(x) holds.
inline bool attend_by_groups(const char* name, const Attention<uint16_t>& x) {
  const AttentionProblem<float>& p = x.problem;
  if (!takes_groups(p.q_len) || (p.width > 64 && !is_band(p))) return false;
  AttentionMaps maps;
  if (!describe_rows(maps.q, x.q, p.batch, p.heads, p.q_len, p.width, kGroupQueries) ||
      !describe_rows(maps.k, x.k, p.batch, p.kv_heads, p.k_len, p.width, kGroupKeys) ||
      !describe_rows(maps.v, x.v, p.batch, p.kv_heads, p.k_len, p.width, kGroupKeys))
    return false;
  if (p.width == 64)
    start_attention_of_groups<64>(name, x, maps);
  else
    start_attention_of_groups<128>(name, x, maps);
  return true;
}

}  // namespace einkorn::cuda
