// Boosting's losses on the GPU. Gradients: a block of threads takes kBoostBlock rows, a thread a row at a time; the block leaves its sum of
// losses, and one thread adds those up in order. Multinomial rows are walked three times over their classes, which lie `rows` apart.
//
// Quantiles of leaves: residuals sorted, then by leaf (cuda_radix.h keeps the order); a block a leaf
//
//   | t0's stretch | t1's stretch | ...      weights summed stretch by stretch; the stretch that reaches the goal is walked
//
// Roofline: squared loss 16 bytes read and 8 written a row, 1,000,000 rows 24 MB, 0.008 ms at 3.0 TB/s; multinomial 24 bytes read and 8
// written a score. A sort of doubles is 16 passes of 24 bytes: 1,000,000 rows 0.4 GB, 0.13 ms.
// Plan: loss_of_rows, loss_of_classes: 48 registers, 5 blocks of 256 threads an SM

#include <math.h>

#include "kernels/boost_loss.h"
#include "kernels/cuda_group.h"
#include "kernels/cuda_radix.h"

namespace einkorn::cuda {

namespace {

struct Terms {
  float gradient, hessian, loss;
};

// x is F - y where the loss is of the difference, else F, with t the target.
__device__ __forceinline__ Terms terms_of(BoostLossKind kind, float x, float t, float parameter) {
  switch (kind) {
    case BoostLossKind::squared:
      return {x, 1, x * x * 0.5f};
    case BoostLossKind::absolute:
      return {x > 0 ? 1.0f : (x < 0 ? -1.0f : x), 1, ::fabsf(x)};
    case BoostLossKind::huber: {
      float g = x < -parameter ? -parameter : x;
      g = g > parameter ? parameter : g;
      return {g, 1, g * (x - g * 0.5f)};
    }
    case BoostLossKind::quantile: {
      const float g = x > 0 ? 1.0f - parameter : (x < 0 ? -parameter : x);
      return {g, 1, g * x};
    }
    case BoostLossKind::logistic: {
      const float e = ::expf(-::fabsf(x)), large = 1.0f / (1.0f + e), small = e * large;
      const float p = x < 0 ? small : large, q = x < 0 ? large : small;
      const auto positive = [](float v) { return v < 0 ? 0.0f : v; };
      return {(1.0f - t) * p - t * q, large * small, (1.0f - t) * positive(x) + t * positive(-x) + ::log1pf(e)};
    }
    default: {  // poisson
      const float e = ::expf(x);
      return {e - t, e, e - t * x};
    }
  }
}

// body(r) gives the loss of row r; partial[block] is the sum of a block's.
template <class Body>
__device__ __forceinline__ void for_rows(const BoostLoss& k, double* partial, const Body& body) {
  const int64_t blocks = (k.rows + kBoostBlock - 1) / kBoostBlock;
  for (int64_t block = blockIdx.x; block < blocks; block += gridDim.x) {
    const int64_t end = (block + 1) * kBoostBlock < k.rows ? (block + 1) * kBoostBlock : k.rows;
    double sum = 0;
    for (int64_t r = block * kBoostBlock + threadIdx.x; r < end; r += kBlock) sum += static_cast<double>(body(r));
    sum = summed<kBlock>(sum);
    if (threadIdx.x == 0) partial[block] = sum;
  }
}

__global__ void __launch_bounds__(kBlock) loss_of_rows(BoostLoss k, double* partial) {
  const bool difference = k.kind != BoostLossKind::logistic && k.kind != BoostLossKind::poisson;
  const float parameter = static_cast<float>(k.parameter);
  for_rows(k, partial, [&](int64_t r) {
    const double raw = k.raw[r], target = k.target[r];
    const float x = static_cast<float>(difference ? raw - target : raw), t = static_cast<float>(target);
    const Terms terms = terms_of(k.kind, x, t, parameter);
    const float w = k.weight != nullptr ? k.weight[r] : 1.0f;
    if (k.gradient != nullptr) k.gradient[r] = terms.gradient * w;
    if (k.hessian != nullptr) k.hessian[r] = terms.hessian * w;
    return terms.loss * w;
  });
}

__global__ void __launch_bounds__(kBlock) loss_of_classes(BoostLoss k, double* partial) {
  const float curvature = k.outputs > 1 ? static_cast<float>(k.outputs) / static_cast<float>(k.outputs - 1) : 1.0f;
  for_rows(k, partial, [&](int64_t r) {
    const int32_t label = k.label[r];
    const float w = k.weight != nullptr ? k.weight[r] : 1.0f;
    const auto score = [&](int64_t c) { return static_cast<float>(k.raw[c * k.rows + r]); };
    float largest = -INFINITY, sum = 0, own = 0;
    for (int64_t c = 0; c < k.outputs; ++c) {
      const float s = score(c);
      largest = s < largest ? largest : s;  // NaN stays
    }
    for (int64_t c = 0; c < k.outputs; ++c) {
      const float above = score(c) - largest;
      sum += ::expf(above);
      if (c == label) own = above;
    }
    for (int64_t c = 0; k.gradient != nullptr && c < k.outputs; ++c) {
      const float p = ::expf(score(c) - largest) / sum;
      k.gradient[c * k.rows + r] = (c == label ? p - 1.0f : p) * w;
      if (k.hessian != nullptr) k.hessian[c * k.rows + r] = p * (1.0f - p) * curvature * w;
    }
    return (::logf(sum) - own) * w;
  });
}

__global__ void add_losses(double* loss, const double* partial, int64_t blocks, double scale) {
  if (threadIdx.x != 0) return;
  double sum = 0;
  for (int64_t b = 0; b < blocks; ++b) sum += partial[b];
  *loss = sum * scale;
}

// ---- quantiles ----

__device__ __forceinline__ double residual_of(const LeafQuantile& k, int64_t r) {
  const double d = k.raw != nullptr ? k.target[r] - k.raw[r] : k.target[r];
  return k.absolute && d < 0 ? -d : d;
}

__device__ __forceinline__ double weight_of(const LeafQuantile& k, int64_t r) {
  return k.weight != nullptr ? static_cast<double>(k.weight[r]) : 1.0;
}

__global__ void __launch_bounds__(kBlock) residual_keys(LeafQuantile k, SortRows<uint64_t> s) {
  grid_stride(k.rows, [&](int64_t r) {
    const double value = residual_of(k, r) + 0.0;  // one zero
    const uint64_t bits = static_cast<uint64_t>(__double_as_longlong(value)), sign = uint64_t{1} << 63;
    s.keys[r] = value != value ? ~uint64_t{0} : (bits & sign) != 0 ? ~bits : bits | sign;  // NaN last
    s.places[r] = static_cast<int32_t>(r);
  });
}

// Rows that take no part are of a leaf behind the others.
__global__ void __launch_bounds__(kBlock) leaf_keys(LeafQuantile k, SortRows<uint64_t> sorted, SortRows<uint32_t> s) {
  grid_stride(k.rows, [&](int64_t i) {
    const int64_t r = sorted.places[i], leaf = k.leaf != nullptr ? k.leaf[r] : 0;
    const bool counts = leaf >= 0 && leaf < k.leaves && (k.weight == nullptr || k.weight[r] > 0);
    s.keys[i] = static_cast<uint32_t>(counts ? leaf : k.leaves);
    s.places[i] = static_cast<int32_t>(r);
  });
}

// The least residual that `goal` of the weight does not exceed, the mean with the next one where it is met exactly.
__device__ __forceinline__ double quantile_of(const LeafQuantile& k, const int32_t* places, int64_t n, int64_t each,
                                              const double* sums, double goal) {
  if (residual_of(k, places[n - 1]) != residual_of(k, places[n - 1])) return NAN;
  double reached = 0;
  int64_t i = 0;
  for (int t = 0; t < kBlock && i + each < n && reached + sums[t] < goal; ++t, i += each) reached += sums[t];
  for (; i < n; ++i) {
    reached += weight_of(k, places[i]);
    if (reached >= goal) break;
  }
  if (i >= n) i = n - 1;
  const double found = residual_of(k, places[i]);
  if (reached != goal || i + 1 == n) return found;
  return found + (residual_of(k, places[i + 1]) - found) * 0.5;
}

__global__ void __launch_bounds__(kBlock) quantiles_of_leaves(LeafQuantile k, SortRows<uint32_t> s) {
  __shared__ double sums[kBlock];
  __shared__ double middle, total;
  const int t = static_cast<int>(threadIdx.x);
  for (int64_t leaf = blockIdx.x; leaf < k.leaves; leaf += gridDim.x) {
    const int64_t begin = first_key(s, static_cast<uint32_t>(leaf)),
                  end = first_key(s, static_cast<uint32_t>(leaf + 1));
    const int32_t* const places = s.places + begin;
    const int64_t n = end - begin, each = (n + kBlock - 1) / kBlock;
    double sum = 0;
    for (int64_t i = t * each; i < (t + 1) * each && i < n; ++i) sum += weight_of(k, places[i]);
    sums[t] = sum;
    __syncthreads();
    if (t == 0) {
      double all = 0;
      for (int u = 0; u < kBlock; ++u) all += sums[u];
      total = all;
      middle = n == 0 ? 0.0 : quantile_of(k, places, n, each, sums, k.alpha * all);
    }
    __syncthreads();
    double step = 0;
    for (int64_t i = t; k.delta > 0 && i < n; i += kBlock) {
      double d = residual_of(k, places[i]) - middle;
      d = d > k.delta ? k.delta : (d < -k.delta ? -k.delta : d);
      step += weight_of(k, places[i]) * d;
    }
    step = summed<kBlock>(step);
    if (t == 0) k.out[leaf] = middle + (k.delta > 0 && n > 0 ? step / total : 0.0);
    __syncthreads();
  }
}

}  // namespace

void boost_loss(const BoostLoss& k) {
  const int64_t blocks = boost_blocks(k.rows);
  double* const partial = carve<BoostLossParts>(k).partial;
  if (blocks > 0)
    launch("boost_loss", k.kind == BoostLossKind::multinomial ? loss_of_classes : loss_of_rows, blocks_for(blocks),
           kBlock, 0, k, partial);
  if (k.loss != nullptr) launch("boost_loss", add_losses, 1, 32, 0, k.loss, partial, blocks, k.scale);
}

void leaf_quantile(const LeafQuantile& k) {
  const char* const name = "leaf_quantile";
  if (k.leaves == 0) return;
  RadixSort<uint64_t> values(1, k.rows);
  launch_over(name, residual_keys, k.rows, k, values.from);
  values.sort(name, 64);
  RadixSort<uint32_t> leaves(1, k.rows);
  launch_over(name, leaf_keys, k.rows, k, values.from, leaves.from);
  leaves.sort(name, bits_below(k.leaves + 1));
  launch(name, quantiles_of_leaves, blocks_for(k.leaves), kBlock, 0, k, leaves.from);
}

}  // namespace einkorn::cuda
