// What the losses over classes share: losses and weights of rows, summed by partial sums in double, one for each kRowsOfPartial rows,
// that one block adds up in order.

#pragma once

#include "kernels/cuda_group.h"
#include "kernels/loss.h"

namespace einkorn::cuda {

constexpr int64_t kRowsOfPartial = 4096;

template <class T>
__device__ __forceinline__ T not_a_number() {
  return static_cast<T>(NAN);
}

struct Totals {
  double loss, weight;
};

__device__ __forceinline__ Totals summed_totals(const Totals& v) {
  return fold_group<kBlock>(
      v, [](const Totals& a, const Totals& b) { return Totals{a.loss + b.loss, a.weight + b.weight}; },
      [](const Totals& a, int distance) {
        return Totals{shuffle_xor(a.loss, distance), shuffle_xor(a.weight, distance)};
      });
}

template <class T>
__global__ void sum_losses(Totals* partial, const T* losses, const T* weights, int64_t rows) {
  const int64_t blocks = (rows + kRowsOfPartial - 1) / kRowsOfPartial;
  for (int64_t b = blockIdx.x; b < blocks; b += gridDim.x) {
    const int64_t end = (b + 1) * kRowsOfPartial < rows ? (b + 1) * kRowsOfPartial : rows;
    Totals sum = {0, 0};
    for (int64_t r = b * kRowsOfPartial + threadIdx.x; r < end; r += kBlock) {
      sum.loss += losses[r];
      sum.weight += weights[r];
    }
    sum = summed_totals(sum);
    if (threadIdx.x == 0) partial[b] = sum;
  }
}

template <class Args>
__global__ void finish_rows(Args k, const Totals* partial, int64_t count) {
  Totals sum = {0, 0};
  for (int64_t i = threadIdx.x; i < count; i += kBlock) {
    sum.loss += partial[i].loss;
    sum.weight += partial[i].weight;
  }
  sum = summed_totals(sum);
  if (threadIdx.x != 0) return;
  using T = std::remove_reference_t<decltype(*k.total_weight)>;
  *k.total_weight = static_cast<T>(sum.weight);
  if (k.reduction != Reduction::none)
    *k.loss = static_cast<T>(k.reduction == Reduction::mean ? sum.loss / sum.weight : sum.loss);
}

// total_weight, and the loss where it is one number.
template <class Args>
void reduce_rows(const char* name, const Args& k) {
  using T = std::remove_reference_t<decltype(*k.total_weight)>;
  const int64_t count = pieces_of(k.rows, kRowsOfPartial);
  const StreamScratch partials(static_cast<size_t>(count) * sizeof(Totals));
  launch_over(name, sum_losses<T>, count * kBlock, partials.as<Totals>(), k.losses, k.row_weight, k.rows);
  launch(name, finish_rows<Args>, 1, kBlock, 0, k, partials.as<Totals>(), count);
}

}  // namespace einkorn::cuda
