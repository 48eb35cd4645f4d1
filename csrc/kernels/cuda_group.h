// Groups of threads that share one row: what the bodies that fold rows into numbers have in common.
//
// A group is 4, 8, 16 or 32 neighbouring lanes, or the whole block of kBlock threads. Folding goes by shuffles within a warp and
// through shared memory between warps, always in the same order, so that the bits are the same every time.

#pragma once

#include <float.h>
#include <math.h>

#include "kernels/cuda_launch.h"

namespace einkorn::cuda {

constexpr int kWarp = 32;

// Folds the values of a group's threads by a = join(a, b); every thread gets the result. All threads of the block call it.
// moved(v, distance) is v of the lane at that distance (shuffle_xor of its parts).
template <int kGroup, class V, class Join, class Moved>
__device__ __forceinline__ V fold_group(V v, const Join& join, const Moved& moved) {
  for (int distance = (kGroup < kWarp ? kGroup : kWarp) / 2; distance > 0; distance /= 2)
    v = join(v, moved(v, distance));
  if constexpr (kGroup > kWarp) {
    constexpr int kWarps = kGroup / kWarp;
    alignas(V) __shared__ char memory[kWarps * sizeof(V)];
    V* const of_warp = reinterpret_cast<V*>(memory);
    if (threadIdx.x % kWarp == 0) of_warp[threadIdx.x / kWarp] = v;
    __syncthreads();
    v = of_warp[0];
    for (int w = 1; w < kWarps; ++w) v = join(v, of_warp[w]);
    __syncthreads();  // the next row reuses the memory
  }
  return v;
}

template <class T>
__device__ __forceinline__ T shuffle_xor(T v, int distance) {
  return __shfl_xor_sync(0xffffffffu, v, distance);
}

template <int kGroup, class T>
__device__ __forceinline__ T summed(T v) {
  return fold_group<kGroup>(
      v, [](T a, T b) { return a + b; }, [](T a, int distance) { return shuffle_xor(a, distance); });
}

// body(row, lane, live) for every row, by groups of kGroup threads. All threads of a block call body equally often, those
// beyond the last row with live = false, because a fold needs whole warps.
template <int kGroup, class Body>
__device__ __forceinline__ void for_groups(int64_t rows, const Body& body) {
  constexpr int kGroups = kBlock / kGroup;
  const int64_t step = static_cast<int64_t>(gridDim.x) * kGroups;
  const int lane = static_cast<int>(threadIdx.x % kGroup), group = static_cast<int>(threadIdx.x / kGroup);
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * kGroups; first < rows; first += step) {
    const int64_t row = first + group;
    body(row < rows ? row : rows - 1, lane, row < rows);
  }
}

// How many threads before this one say yes; `all`: how many do.
__device__ __forceinline__ int rank_in_block(bool yes, int* of_warps, int& all) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const unsigned votes = __ballot_sync(0xffffffffu, yes);
  if (lane == 0) of_warps[warp] = __popc(votes);
  __syncthreads();
  int before = 0;
  all = 0;
  for (int w = 0; w < kBlock / kWarp; ++w) {
    before += w < warp ? of_warps[w] : 0;
    all += of_warps[w];
  }
  __syncthreads();
  return before + __popc(votes & ((1u << lane) - 1));
}

// max and sum of exp(x - max) of what was read so far. Merging (m, s) and (m', s'): (M, s exp(m - M) + s' exp(m' - M)).
template <class T>
struct RunningSum {
  T m = sizeof(T) == 4 ? static_cast<T>(-FLT_MAX) : static_cast<T>(-DBL_MAX);
  T s = 0;

  __device__ void take(T x) {
    if (x > m) {
      s = s * ::exp(m - x) + (1 + (x - x));  // x - x is NaN for an infinite x
      m = x;
    } else {
      s += ::exp(x - m);
    }
  }
};

template <int kGroup, class T>
__device__ __forceinline__ RunningSum<T> merged(const RunningSum<T>& v) {
  return fold_group<kGroup>(
      v,
      [](const RunningSum<T>& a, const RunningSum<T>& b) {
        const T top = larger(a.m, b.m);
        return RunningSum<T>{top, a.s * ::exp(a.m - top) + b.s * ::exp(b.m - top)};
      },
      [](const RunningSum<T>& a, int distance) {
        return RunningSum<T>{shuffle_xor(a.m, distance), shuffle_xor(a.s, distance)};
      });
}

}  // namespace einkorn::cuda
