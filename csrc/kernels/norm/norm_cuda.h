// What the norms on the GPU have in common: sums that keep their digits, moments and how they are joined, means in two parts.

#pragma once

#include "kernels/activation_cuda.h"
#include "kernels/cuda_group.h"
#include "kernels/cuda_stored.h"
#include "kernels/norm/norm.h"

namespace einkorn::cuda {

// A sum of many terms by one thread: kRun of them in T, those sums in double. Not kLong: no more than about kRun terms.
template <class T, bool kLong = true>
class LongSum {
 public:
  __device__ __forceinline__ void add(T v) {
    part_ += v;
    if (!kLong || ++terms_ < kRun) return;
    total_ += part_;
    part_ = 0;
    terms_ = 0;
  }
  __device__ __forceinline__ double value() const { return total_ + part_; }

 private:
  static constexpr int kRun = 32;
  double total_ = 0;
  T part_ = 0;
  int terms_ = 0;
};

struct TwoSums {
  double g, x;  // of g and of g xhat
};

template <int kGroup>
__device__ __forceinline__ TwoSums summed_both(const TwoSums& v) {
  return fold_group<kGroup>(
      v, [](const TwoSums& a, const TwoSums& b) { return TwoSums{a.g + b.g, a.x + b.x}; },
      [](const TwoSums& a, int distance) { return TwoSums{shuffle_xor(a.g, distance), shuffle_xor(a.x, distance)}; });
}

// The sums of channels, a warp each: channel c has the parts at (t / inner) stride + c inner + t % inner, t = 0 .. count - 1.
template <class N>
struct ChannelSums {
  N* gweight;     // sum of g xhat; may be null, as all three
  N* gbias;       // sum of g
  TwoSums* sums;  // both
  const TwoSums* parts;
  int64_t channels, count, inner, stride;
};

template <class N>
__global__ void __launch_bounds__(kBlock) channel_sums(ChannelSums<N> k) {
  for_groups<kWarp>(k.channels, [&](int64_t c, int lane, bool live) {
    TwoSums sum = {0, 0};
    for (int64_t t = lane; t < k.count; t += kWarp) {
      const int64_t line = quotient(t, k.inner);
      const TwoSums part = k.parts[line * k.stride + c * k.inner + (t - line * k.inner)];
      sum.g += part.g;
      sum.x += part.x;
    }
    sum = summed_both<kWarp>(sum);
    if (!live || lane != 0) return;
    if (k.gweight != nullptr) k.gweight[c] = static_cast<N>(sum.x);
    if (k.gbias != nullptr) k.gbias[c] = static_cast<N>(sum.g);
    if (k.sums != nullptr) k.sums[c] = sum;
  });
}

// The sums of nothing.
template <class N>
__global__ void clear_sums(N* gweight, N* gbias, int64_t channels) {
  grid_stride(channels, [&](int64_t c) {
    if (gweight != nullptr) gweight[c] = 0;
    if (gbias != nullptr) gbias[c] = 0;
  });
}

// The statistics of nothing.
template <int>  // a template, so that every file may have it
__global__ void clear_statistics(double* mean, double* rstd, int64_t size) {
  grid_stride(size, [&](int64_t i) {
    if (mean != nullptr) mean[i] = NAN;
    rstd[i] = NAN;
  });
}

// How many, their mean, and the squared distances from it. Joined as Chan, Golub and LeVeque (1979) do.
struct Moments {
  double count, mean, squares;
};

__device__ __forceinline__ Moments joined(const Moments& a, const Moments& b) {
  const double all = a.count + b.count, off = b.mean - a.mean;
  if (all == 0) return a;
  return {all, a.mean + off * (b.count / all), a.squares + b.squares + off * off * (a.count * b.count / all)};
}

template <int kGroup>
__device__ __forceinline__ Moments joined_moments(const Moments& v) {
  return fold_group<kGroup>(v, joined, [](const Moments& a, int distance) {
    return Moments{shuffle_xor(a.count, distance), shuffle_xor(a.mean, distance), shuffle_xor(a.squares, distance)};
  });
}

// A mean as two numbers of N: (x - high) - low is exact where x is near it.
template <class N>
struct Centre {
  N high, low;

  __device__ __forceinline__ explicit Centre(double mean)
      : high(static_cast<N>(mean)), low(static_cast<N>(mean - high)) {}
  __device__ __forceinline__ N from(N x) const { return (x - high) - low; }
};

// a b, rounded for itself: the compiler may not fuse it with a sum. So h - mean(h) is 0 where all h are the same.
__device__ __forceinline__ float rounded_product(float a, float b) {
  return __fmul_rn(a, b);
}
__device__ __forceinline__ double rounded_product(double a, double b) {
  return __dmul_rn(a, b);
}

}  // namespace einkorn::cuda
