#include "cuda_host/planted.h"

#include <string.h>

#include "kernels/cuda_copy.h"
#include "kernels/cuda_launch.h"
#include "kernels/cuda_mma.h"

namespace einkorn::cuda_host {

namespace {

enum class Plant {
  none,
  missing_barrier,
  partial_barrier,
  divergent_shuffle,
  out_of_bounds,
  before_the_start,
  unwritten_element,
  unwritten_shared,
  wrong_lane,
  absent_lane,
  racing_blocks,
  missing_warp_barrier,
  missing_wait,
  wrong_operand,
};

constexpr const char* kNames[] = {"none",          "missing barrier",  "partial barrier",   "divergent shuffle",
                                  "out of bounds", "before the start", "unwritten element", "unwritten shared",
                                  "wrong lane",    "absent lane",      "racing blocks",     "missing warp barrier",
                                  "missing wait",  "wrong operand"};

constexpr int kThreads = 64, kLanes = 32;

// Turns the block's elements around in shared memory, sums each warp, and stores.
template <Plant kPlant>
__global__ void sum_warps(float* out, const float* x, int64_t size) {
  __shared__ float turned[kThreads];
  const int t = static_cast<int>(threadIdx.x), mirror = kThreads - 1 - t;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + t;
  int64_t from = i;
  if (kPlant == Plant::out_of_bounds && i == size - 1) from = size;
  if (kPlant == Plant::before_the_start && i == 0) from = -1;
  const float value = from < size || kPlant == Plant::out_of_bounds ? x[from] : 0;
  if (kPlant != Plant::unwritten_shared || t != 5) turned[mirror] = value;
  if constexpr (kPlant == Plant::partial_barrier) {
    if (t == 7) return;
    __syncthreads();
  } else if constexpr (kPlant != Plant::missing_barrier) {
    __syncthreads();
  }
  float sum = turned[mirror];
  if constexpr (kPlant == Plant::missing_barrier) sum = turned[t];
  for (int distance = kLanes / 2; distance > 0; distance /= 2) {
    if constexpr (kPlant == Plant::divergent_shuffle)
      if (t == 3 && distance == 4) return;
    const int from_lane = kPlant == Plant::wrong_lane && distance == 8 ? 4 : distance;
    unsigned mask = 0xffffffffu;
    if constexpr (kPlant == Plant::absent_lane) {
      if (t % kLanes >= 16) break;
      mask = 0x0000ffffu;
    }
    sum += __shfl_xor_sync(mask, sum, from_lane);
  }
  if constexpr (kPlant == Plant::missing_warp_barrier) {
    __syncthreads();
    turned[t] = sum;  // each lane reads what its neighbour wrote: a barrier of the warp is due
    sum = turned[t ^ 1];
  }
  if constexpr (kPlant == Plant::missing_wait) {
    __shared__ cuda::Pack<float, 4> brought[kThreads / 4];
    cuda::AsyncCopies<1> copies;  // of a block that has all of its elements
    if (t % 4 == 0) copies.bring(&brought[t / 4], x + t, true);
    copies.close();
    if (size < 0) copies.wait<0>();
    __syncthreads();
    sum += brought[t / 4].v[t % 4];
  }
  if constexpr (kPlant == Plant::wrong_operand) {
    // A row of ones times the identity, but for one lane, whose register is another's.
    const int lane = t % kLanes, row = lane / 4, pair = lane % 4;
    const uint32_t one = 0x3f80;
    cuda::PairsA ones = {{one | one << 16, one | one << 16, 0, 0}};
    cuda::PairsB identity = {{row == 2 * pair ? one : row == 2 * pair + 1 ? one << 16 : 0, 0}};
    if (lane == 9) identity.of[0] = 0;
    cuda::Sums product = {};
    cuda::multiply_pairs(product, ones, identity);
    sum *= product.of[0] * product.of[1] * product.of[2] * product.of[3];
  }
  if (i >= size || (kPlant == Plant::unwritten_element && i == 9)) return;
  out[kPlant == Plant::racing_blocks ? t : i] = sum;
}

template <int kPlant>
bool run(const char* fault, float* out, const float* x, int64_t size) {
  if constexpr (kPlant == sizeof kNames / sizeof *kNames) {
    return false;
  } else if (strcmp(fault, kNames[kPlant]) == 0) {
    const unsigned blocks = static_cast<unsigned>((size + kThreads - 1) / kThreads);
    cuda::launch("sum_warps", sum_warps<static_cast<Plant>(kPlant)>, blocks, kThreads, 0, out, x, size);
    return true;
  } else {
    return run<kPlant + 1>(fault, out, x, size);
  }
}

}  // namespace

bool run_planted(const char* fault, float* out, const float* x, int64_t size) {
  return run<0>(fault, out, x, size);
}

}  // namespace einkorn::cuda_host
