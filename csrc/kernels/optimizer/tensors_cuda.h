// Walking the tensors of an optimizer's launch: all at once, cut into chunks of kChunk elements, a block each.
//
//   tensors    |---- weight ----------------------|- bias -|------ weight ------|b|
//   chunks     |            |            |        |        |            |       | |
//
// A block finds its tensor by bisection among the numbers of the tensors' first chunks. Threads take 16 bytes at a time where
// all arrays of a tensor are aligned to that.

#pragma once

#include <math.h>

#include "kernels/cuda_stored.h"
#include "kernels/optimizer/optimizer.h"

namespace einkorn::cuda {

constexpr int64_t kChunk = 4096;

// The number of the first chunk of each tensor, and of all chunks.
struct Chunks {
  int64_t first[kOptimizerTensors + 1];
};

template <class Args>
Chunks chunks_of(const Args& k) {
  Chunks chunks;
  chunks.first[0] = 0;
  for (int t = 0; t < k.count; ++t) chunks.first[t + 1] = chunks.first[t] + (k.tensors[t].size + kChunk - 1) / kChunk;
  return chunks;
}

// update(tensor, begin, end) for every chunk: the elements [begin, end) of a tensor.
template <class Args, class Update>
__device__ __forceinline__ void for_chunks(const Args& k, const Chunks& chunks, const Update& update) {
  for (int64_t chunk = blockIdx.x; chunk < chunks.first[k.count]; chunk += gridDim.x) {
    int low = 0, high = k.count;  // first[low] <= chunk < first[high]
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      if (chunks.first[middle] <= chunk)
        low = middle;
      else
        high = middle;
    }
    const auto& tensor = k.tensors[low];
    const int64_t begin = (chunk - chunks.first[low]) * kChunk;
    update(tensor, begin, begin + kChunk < tensor.size ? begin + kChunk : tensor.size);
  }
}

// body(i) for packs of elements [begin, end) where `aligned`, and for single ones where not or where no pack is left.
template <int kPack, class Packs, class Singles>
__device__ __forceinline__ void for_packs(int64_t begin, int64_t end, bool aligned, const Packs& packs,
                                          const Singles& singles) {
  const int64_t split = aligned ? begin + (end - begin) / kPack * kPack : begin;
  for (int64_t i = begin + static_cast<int64_t>(threadIdx.x) * kPack; i < split; i += kBlock * kPack) packs(i);
  for (int64_t i = split + threadIdx.x; i < end; i += kBlock) singles(i);
}

}  // namespace einkorn::cuda
