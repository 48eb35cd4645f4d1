#include <string.h>

#include "cuda_host/planted.h"
#include "kernels/cuda_launch.h"
#include "kernels/cuda_wgmma.h"

namespace einkorn::cuda_host {

namespace {

enum class Plant {
  none,
  box_without_pattern,
  matrix_of_another_pattern,
  wrong_stride,
  box_not_waited_for,
  waited_for_by_one_lane,
  place_not_waited_for,
  released_early,
  too_many_bytes,
  unaligned_box,
  barrier_not_published,
  not_begun,
  one_warp_elsewhere,
  left_under_way,
};

constexpr const char* kNames[] = {
    "boxes",
    "box without pattern",
    "matrix of another pattern",
    "wrong stride",
    "box not waited for",
    "waited for by one lane",
    "place not waited for",
    "released early",
    "too many bytes",
    "unaligned box",
    "barrier not published",
    "not begun",
    "one warp elsewhere",
    "left under way",
};

// Floats whose low halves are 0 are pairs of bfloat16, the first of which is 0: 64 rows of two boxes.
constexpr int kRows = 64, kBoxes = 2, kMultipliers = 4;

struct Memory {
  uint16_t rows[kRows][cuda::kBoxColumns];
  cuda::PhaseBarrier there, free;
};

// The boxes one after the other by one place.
template <Plant kPlant>
__global__ void gram_of_boxes(float* out, cuda::TensorMap map) {
  Memory& memory = cuda::aligned_shared<Memory>();
  const int t = static_cast<int>(threadIdx.x), lane = t % 32, warp = t / 32;
  if (t == 0) {
    memory.there.make(1);
    memory.free.make(kMultipliers);
    cuda::publish_barriers();
  }
  if (kPlant != Plant::barrier_not_published) __syncthreads();
  if (warp == kMultipliers) {
    const int boxes = kPlant == Plant::left_under_way ? kBoxes + 1 : kBoxes;
    for (int box = 0; lane == 0 && box < boxes; ++box) {
      if (kPlant != Plant::place_not_waited_for) memory.free.wait(static_cast<unsigned>(box % 2 ^ 1));
      memory.there.expect(sizeof memory.rows + (kPlant == Plant::too_many_bytes ? 16 : 0));
      uint16_t* const to = &memory.rows[0][0] + (kPlant == Plant::unaligned_box ? 8 : 0);
      cuda::bring_box(to, map, box * cuda::kBoxColumns, 0, 0, 0, memory.there);
    }
    return;
  }
  cuda::Sums sums[kRows / 8];
  cuda::GroupProducts<4> products;
  const auto release = [&] {
    __syncwarp();
    if (lane == 0) memory.free.arrive();
  };
  for (int box = 0; box < kBoxes; ++box) {
    const bool waits = kPlant == Plant::waited_for_by_one_lane ? lane == 0 : kPlant != Plant::box_not_waited_for;
    if (waits || warp != 2) memory.there.wait(static_cast<unsigned>(box % 2));
    if (kPlant != Plant::not_begun) products.begin(sums);
    for (unsigned step = 0; step < 4; ++step) {
      uint64_t matrix = cuda::matrix_of(memory.rows, 16, kPlant == Plant::wrong_stride ? 512 : 1024);
      if (kPlant == Plant::matrix_of_another_pattern) matrix ^= uint64_t{3} << 62;
      if (kPlant == Plant::one_warp_elsewhere && warp == 3) matrix += 2;
      matrix = cuda::advanced(matrix, step * 32);
      products.multiply(sums, matrix, matrix, box + step > 0);
    }
    products.close();
    if (kPlant == Plant::released_early) release();
    products.wait<0>(sums);
    if (kPlant != Plant::released_early) release();
  }
  for (int n = 0; n < kRows / 8; ++n)
    for (int e = 0; e < 4; ++e)
      out[(warp * 16 + lane / 4 + e / 2 * 8) * kRows + n * 8 + lane % 4 * 2 + e % 2] = sums[n].of[e];
}

template <int kPlant>
bool run(const char* fault, float* out, const float* x) {
  if constexpr (kPlant == sizeof kNames / sizeof *kNames) {
    return false;
  } else if (strcmp(fault, kNames[kPlant]) == 0) {
    cuda::TensorMap map;
    constexpr int64_t kColumns = kBoxes * cuda::kBoxColumns;
    cuda::describe(map, reinterpret_cast<const uint16_t*>(x), {kColumns, kRows, 1, 1}, {1, kColumns, 0, 0}, kRows);
    if (static_cast<Plant>(kPlant) == Plant::box_without_pattern) map.swizzle = Swizzle::none;
    cuda::launch("gram_of_boxes", gram_of_boxes<static_cast<Plant>(kPlant)>, 1, (kMultipliers + 1) * 32,
                 sizeof(Memory) + cuda::kBoxAlignment, out, map);
    return true;
  } else {
    return run<kPlant + 1>(fault, out, x);
  }
}

}  // namespace

bool run_planted_boxes(const char* fault, float* out, const float* x, int64_t size) {
  return size == kRows * kRows && run<0>(fault, out, x);
}

}  // namespace einkorn::cuda_host
