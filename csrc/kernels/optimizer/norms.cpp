// Norms of many tensors in one launch: blocks of kNormBlock elements each give one number, and those of a tensor are
// added in order.

#include <math.h>

#include "kernels/instantiate.h"
#include "kernels/optimizer/optimizer.h"
#include "simd/math.h"

namespace einkorn::EINKORN_ISA {

namespace {

// One addend of the norm for each element: its absolute value to the power, or 1.
template <class T>
EINKORN_INLINE Vec<T> addend(Vec<T> x, double power) {
  const Vec<T> size = EINKORN_ISA::absolute(x);
  if (power == 2) return x * x;
  if (power == 1) return size;
  if (power == 0) return (size > 0) | (size != size) ? broadcast((T)1) : Vec<T>{};
  Vec<T> out = size;
  for (int lane = 0; lane < kLanes<T>; ++lane) out[lane] = (T)::pow((double)size[lane], power);
  return out;
}

template <class T>
EINKORN_INLINE double block_sum(const T* x, int64_t size, double power) {
  constexpr int64_t kRun = 4096;  // elements that are added in T
  double total = 0;
  for (int64_t begin = 0; begin < size; begin += kRun) {
    const int64_t end = begin + kRun < size ? begin + kRun : size;
    constexpr int kWays = 4;
    Vec<T> sums[kWays] = {};
    int64_t i = begin;
    for (; i + kWays * kLanes<T> <= end; i += kWays * kLanes<T>)
      EINKORN_UNROLL for (int w = 0; w < kWays; ++w) sums[w] += addend<T>(load(x + i + w * kLanes<T>), power);
    double rest = 0;  // lanes past the end would count where the power is negative
    for (; i < end; ++i) rest += (double)addend<T>(broadcast(x[i]), power)[0];
    total += (double)sum_lanes<T>((sums[0] + sums[1]) + (sums[2] + sums[3])) + rest;
  }
  return total;
}

// The largest absolute value, or with side -1 the smallest; NaN where there is one.
template <class T>
EINKORN_INLINE double block_extreme(const T* x, int64_t size, T side) {
  Vec<T> best = broadcast(side * EINKORN_ISA::absolute(broadcast(x[0]))[0]), bad = {};
  int64_t i = 0;
  for (; i + kLanes<T> <= size; i += kLanes<T>) {
    const Vec<T> v = load(x + i), a = EINKORN_ISA::absolute(v) * side;
    best = a > best ? a : best;
    bad = v != v ? v : bad;
  }
  double found = (double)(side * max_lanes<T>(best)), nan = (double)sum_lanes<T>(bad);
  for (; i < size; ++i) {
    const double a = ::fabs((double)x[i]);
    if (a != a) nan = a;
    if ((double)side * a > (double)side * found) found = a;
  }
  return nan != nan ? nan : found;
}

}  // namespace

template <class T>
void tensor_norms(const TensorNorms<T>& k) {
  const NormParts parts = carve<NormParts>(k);
  const double power = k.power;
  const bool extreme = power - power != 0;  // infinite
  parallel_for(k.ws, k.blocks(), 0.1 * kNormBlock, [&](int64_t task, int) {
    int64_t block = task;
    int t = 0;
    for (;; ++t) {
      const int64_t blocks = (k.tensors[t].size + kNormBlock - 1) / kNormBlock;
      if (block < blocks) break;
      block -= blocks;
    }
    const int64_t begin = block * kNormBlock, left = k.tensors[t].size - begin;
    const int64_t size = left < kNormBlock ? left : kNormBlock;
    const T* const x = k.tensors[t].x + begin;
    parts.partial[task] = extreme ? block_extreme(x, size, (T)(power > 0 ? 1 : -1)) : block_sum(x, size, power);
  });
  const double* partial = parts.partial;
  for (int t = 0; t < k.count; ++t) {
    const int64_t blocks = (k.tensors[t].size + kNormBlock - 1) / kNormBlock;
    double total = 0;
    for (int64_t b = 0; b < blocks; ++b) {
      const double x = partial[b];
      if (!extreme)
        total += x;
      else if (b == 0 || x != x || (power > 0 ? x > total : x < total))
        total = total != total ? total : x;
    }
    partial += blocks;
    if (!extreme && power != 0 && power != 1) total = power == 2 ? ::sqrt(total) : ::pow(total, 1 / power);
    k.norms[t] = blocks == 0 ? 0 : total;
  }
}

EINKORN_INSTANTIATE(tensor_norms, TensorNorms)

}  // namespace einkorn::EINKORN_ISA
