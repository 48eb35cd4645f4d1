// The kernels of tree_grow.cu, which tells what they do together: gradients as whole numbers, histograms, best splits, rows of children.

#pragma once

#include "kernels/cuda_group.h"
#include "kernels/cuda_philox.h"
#include "kernels/cuda_sums.h"
#include "kernels/tree/tree_grow.h"
#include "kernels/tree/tree_grow_policy.h"

namespace einkorn::cuda {

namespace {

constexpr int kTogether = 4;    // features whose bins a block sums
constexpr int kByteBins = 256;  // of a feature of 8-bit codes
constexpr int kSearchThreads = 128;

using Exact = unsigned long long;  // what atomics add to an int64_t

__device__ __forceinline__ void add_exact(int64_t* to, int64_t value) {
  atomicAdd(reinterpret_cast<Exact*>(to), static_cast<Exact>(value));
}

__global__ void __launch_bounds__(kBlock) clear_words(int32_t* words, int64_t n) {
  grid_stride(n, [&](int64_t i) { words[i] = 0; });
}

__global__ void __launch_bounds__(kBlock) copy_rows(int32_t* to, const int32_t* from, int64_t n) {
  grid_stride(n, [&](int64_t i) { to[i] = from[i]; });
}

// ---- gradients as whole numbers ----

__device__ __forceinline__ double largest(double v) {
  return fold_group<kBlock>(
      v, [](double a, double b) { return larger(a, b); }, [](double a, int d) { return shuffle_xor(a, d); });
}

// Of each block of rows the largest gradient, or NaN where one is not finite; the largest hessian, or -1; the least above 0.
template <class T>
__global__ void __launch_bounds__(kBlock) find_extremes(TreeGrow<T> k, double* extremes, int64_t blocks) {
  for (int64_t block = blockIdx.x; block < blocks; block += gridDim.x) {
    const int64_t begin = block * kGrowBlock, end = begin + kGrowBlock < k.row_count ? begin + kGrowBlock : k.row_count;
    double g = 0, h = 0, least = INFINITY, bad_g = 0, bad_h = 0;
    for (int64_t i = begin + threadIdx.x; i < end; i += kBlock) {
      const int64_t r = k.rows != nullptr ? k.rows[i] : i;
      const double here = ::fabs(static_cast<double>(k.gradients[r]));
      if (!(here < INFINITY)) bad_g = 1;
      g = larger(here, g);
      if (k.hessians == nullptr) continue;
      const double weight = static_cast<double>(k.hessians[r]);
      if (!(weight >= 0 && weight < INFINITY)) bad_h = 1;
      h = larger(weight, h);
      if (weight > 0 && weight < least) least = weight;
    }
    g = largest(g);
    h = largest(h);
    least = -largest(-least);
    bad_g = largest(bad_g);
    bad_h = largest(bad_h);
    if (threadIdx.x != 0) continue;
    double* const out = extremes + 4 * block;
    out[0] = bad_g > 0 ? static_cast<double>(NAN) : g;
    out[1] = bad_h > 0 ? -1.0 : h;
    out[2] = least;
    out[3] = 0;
  }
}

// The numbers of a row, and the sums of all: g, h, g_low, h_low.
template <class T>
__global__ void __launch_bounds__(kBlock)
    make_pairs(TreeGrow<T> k, int32_t* pairs, int words, double g_scale, double h_scale, int64_t* sums) {
  int64_t sum[4] = {};
  grid_stride(k.row_count, [&](int64_t i) {
    const int64_t r = k.rows != nullptr ? k.rows[i] : i;
    int32_t* const pair = pairs + r * words;
    const int32_t g = quantised(k.gradients[r], g_scale);
    pair[0] = g;
    sum[0] += g;
    if (words == 1) return;
    const int32_t h = quantised(k.hessians[r], h_scale);
    pair[1] = h;
    sum[1] += h;
    if (words == 2) return;
    pair[2] = low_part(k.gradients[r], g_scale, g);
    pair[3] = low_part(k.hessians[r], h_scale, h);
    sum[2] += pair[2];
    sum[3] += pair[3];
  });
  for (int e = 0; e < 4; ++e) {
    const int64_t all = summed<kBlock>(sum[e]);
    if (threadIdx.x == 0) add_exact(sums + e, all);
  }
}

// ---- histograms ----

struct Rows {
  const int32_t* order;  // null: the rows are begin, begin + 1, ...
  int64_t begin, n;
};

struct Bins {
  const int32_t* pairs;
  const int64_t* bin_at;
  const int32_t* features;
  int64_t used;  // features
};

// To a sum in shared memory, whose atomics have 32 bits: the low half, then the high one and what the low one carried.
__device__ __forceinline__ void add_in_halves(int64_t* to, int32_t value) {
  unsigned* const halves = reinterpret_cast<unsigned*>(to);
  const unsigned low = static_cast<unsigned>(value), before = atomicAdd(halves, low);
  const unsigned high = (value < 0 ? ~0u : 0u) + (before + low < low ? 1u : 0u);
  if (high != 0) atomicAdd(halves + 1, high);
}

// Histograms are [words][bins] sums and then the counts, on the card as in shared memory (hist_at).
template <int kWords, bool kShared>
__device__ __forceinline__ void add_row(int64_t* hist, int64_t bins, int64_t bin, const int32_t* pair) {
  for (int e = 0; e < kWords; ++e)
    if constexpr (kShared)
      add_in_halves(hist + e * bins + bin, pair[e]);
    else
      add_exact(hist + e * bins + bin, pair[e]);
  atomicAdd(reinterpret_cast<int32_t*>(hist + kWords * bins) + bin, 1);
}

// Adds the rows to `out`, which is zeros.
template <class Code, int kWords>
__global__ void __launch_bounds__(kBlock) fill_histogram(int64_t* out, int64_t all_bins, const Code* by_row,
                                                         int64_t width, Bins bins, Rows rows, int64_t chunks) {
  constexpr bool kShared = sizeof(Code) == 1;
  constexpr int kBins = kTogether * kByteBins;
  int64_t* const memory = dynamic_shared<int64_t>();
  int32_t* const counts = reinterpret_cast<int32_t*>(memory + kWords * kBins);
  const int64_t groups = (bins.used + kTogether - 1) / kTogether;
  for (int64_t task = blockIdx.x; task < groups * chunks; task += gridDim.x) {
    const int64_t chunk = quotient(task, groups), first = (task - chunk * groups) * kTogether;
    const int64_t begin = rows.begin + chunk * kGrowBlock, last = rows.begin + rows.n;
    const int64_t end = begin + kGrowBlock < last ? begin + kGrowBlock : last;
    const int features = static_cast<int>(bins.used - first < kTogether ? bins.used - first : kTogether);
    if (kShared) {
      for (int i = static_cast<int>(threadIdx.x); i < kBins; i += kBlock) {
        for (int e = 0; e < kWords; ++e) memory[e * kBins + i] = 0;
        counts[i] = 0;
      }
      __syncthreads();
    }
    for (int64_t i = begin + threadIdx.x; i < end; i += kBlock) {
      const int64_t r = rows.order != nullptr ? rows.order[i] : i;
      int32_t pair[kWords];
      for (int e = 0; e < kWords; ++e) pair[e] = bins.pairs[r * kWords + e];
      for (int j = 0; j < features; ++j) {
        const int32_t f = bins.features[first + j];
        const int64_t code = by_row[r * width + f];
        if constexpr (kShared)
          add_row<kWords, true>(memory, kBins, j * kByteBins + code, pair);
        else
          add_row<kWords, false>(out, all_bins, bins.bin_at[f] + code, pair);
      }
    }
    if (!kShared) continue;
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < features * kByteBins; i += kBlock) {
      if (counts[i] == 0) continue;
      const int64_t bin = bins.bin_at[bins.features[first + i / kByteBins]] + i % kByteBins;
      for (int e = 0; e < kWords; ++e) add_exact(out + e * all_bins + bin, memory[e * kBins + i]);
      atomicAdd(reinterpret_cast<int32_t*>(out + kWords * all_bins) + bin, counts[i]);
    }
    __syncthreads();
  }
}

__global__ void __launch_bounds__(kBlock) subtract_bins(Hist from, Hist what, int64_t bins) {
  grid_stride(bins, [&](int64_t i) {
    from.g[i] -= what.g[i];
    from.n[i] -= what.n[i];
    if (from.h != nullptr) from.h[i] -= what.h[i];
    if (from.g_low == nullptr) return;
    from.g_low[i] -= what.g_low[i];
    from.h_low[i] -= what.h_low[i];
  });
}

// ---- best splits ----

struct SearchJob {
  NodeSums sums;
  Bounds bounds;
  Hist hist;
  int side;
};

struct Searching {
  SearchJob jobs[2];
  int count;
  Candidate* candidates;    // [2, n]
  uint32_t* category_sets;  // [2, n, words]
  const uint8_t* allowed;   // [2, n]
  const uint8_t* categorical;
  const int32_t* n_bins;
  const int32_t* monotone;  // null: none
  char* sorting;            // [2, n, most_bins] of SortedCode
  const int64_t* bin_at;
  const int32_t* features;
  int64_t used, n, words, most_bins;
};

__device__ __forceinline__ NodeSums from_lane(const NodeSums& v, int lane) {
  constexpr unsigned kAll = 0xffffffffu;
  return {__shfl_sync(kAll, v.g, lane), __shfl_sync(kAll, v.h, lane), __shfl_sync(kAll, v.n, lane),
          __shfl_sync(kAll, v.g_low, lane), __shfl_sync(kAll, v.h_low, lane)};
}

// v and those of the lanes before.
__device__ __forceinline__ NodeSums running(NodeSums v, int lane) {
  constexpr unsigned kAll = 0xffffffffu;
  for (int d = 1; d < kWarp; d *= 2) {
    const NodeSums other = {__shfl_up_sync(kAll, v.g, d), __shfl_up_sync(kAll, v.h, d), __shfl_up_sync(kAll, v.n, d),
                            __shfl_up_sync(kAll, v.g_low, d), __shfl_up_sync(kAll, v.h_low, d)};
    if (lane >= d) v = plus(v, other);
  }
  return v;
}

// The best place so far, and what a better score must exceed.
struct BestPlace {
  double score = kNoSplit, bar = kNoSplit;
  int64_t bin = -1;
  NodeSums left = {};

  __device__ void take(double here, int64_t at, const NodeSums& sums, double parent) {
    if (!(here > bar)) return;
    score = here;
    bar = here + tie_of(here, parent);
    bin = at;
    left = sums;
  }

  // The first of the lanes' that tie with the best of them.
  __device__ void settle(double parent) {
    double top = score;
    for (int d = kWarp / 2; d > 0; d /= 2) top = larger(shuffle_xor(top, d), top);
    int64_t first = top != kNoSplit && score >= top - tie_of(top, parent) ? bin : INT64_MAX;
    const int64_t own = first;
    for (int d = kWarp / 2; d > 0; d /= 2) {
      const int64_t other = shuffle_xor(first, d);
      first = other < first ? other : first;
    }
    if (first == INT64_MAX) {
      bin = -1;
      return;
    }
    const int lane = __ffs(static_cast<int>(__ballot_sync(0xffffffffu, own == first))) - 1;
    score = __shfl_sync(0xffffffffu, score, lane);
    left = from_lane(left, lane);
    bin = first;
    bar = score + tie_of(score, parent);
  }
};

__device__ __forceinline__ void search_bins(Candidate& best, const Hist& hist, int32_t feature, int64_t bins,
                                            const NodeSums& all, int sign, double parent, const Scoring& s,
                                            Bounds bounds) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const NodeSums missing = sums_of_bin(hist, bins);
  const int64_t limit = missing.n > 0 ? bins : bins - 1;  // all values left, missing ones right, is a split too
  BestPlace right, left;
  NodeSums before = {};
  for (int64_t first = 0; first < limit; first += kWarp) {
    const int64_t i = first + lane;
    NodeSums here = {};
    if (i < limit) here = sums_of_bin(hist, i);
    here = plus(before, running(here, lane));
    before = from_lane(here, kWarp - 1);
    if (i >= limit) continue;
    right.take(children_score(here, minus(all, here), s.l2, sign, s, bounds), i, here, parent);
    if (missing.n == 0) continue;
    const NodeSums more = plus(here, missing);
    left.take(children_score(more, minus(all, more), s.l2, sign, s, bounds), i, more, parent);
  }
  __syncwarp();
  right.settle(parent);
  left.settle(parent);
  if (lane != 0) return;
  const bool missing_left = left.score > right.bar && left.bin >= 0;
  const BestPlace& found = missing_left ? left : right;
  if (found.bin < 0) return;
  const bool to_left = missing.n == 0 ? found.left.n > all.n - found.left.n : missing_left;
  keep(best, found.score, parent, s,
       {0, found.left, feature, static_cast<int32_t>(found.bin), static_cast<uint8_t>(to_left), 0});
}

__global__ void __launch_bounds__(kSearchThreads) find_splits(Searching q, Scoring s) {
  const int64_t warps = static_cast<int64_t>(gridDim.x) * (kSearchThreads / kWarp);
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int64_t task = static_cast<int64_t>(blockIdx.x) * (kSearchThreads / kWarp) + threadIdx.x / kWarp;
       task < q.count * q.used; task += warps) {
    const int64_t which = quotient(task, q.used), j = task - which * q.used;
    const SearchJob job = which == 0 ? q.jobs[0] : q.jobs[1];
    const int64_t place = job.side * q.n + j;
    const int32_t f = q.features[j];
    Candidate best = {};
    if (q.allowed[job.side * q.n + f] != 0) {
      const double parent = node_score(job.sums, s.l2, s, job.bounds);
      const Hist own = job.hist.from(q.bin_at[f]);
      if (q.categorical[f] == 0)
        search_bins(best, own, f, q.n_bins[f], job.sums, q.monotone != nullptr ? q.monotone[f] : 0, parent, s,
                    job.bounds);
      else if (lane == 0)
        search_categorical(best, q.category_sets + place * q.words, q.words, own, f, q.n_bins[f], job.sums, parent, s,
                           job.bounds, reinterpret_cast<SortedCode*>(q.sorting) + place * q.most_bins);
    }
    if (lane == 0) q.candidates[place] = best;
    __syncwarp();
  }
}

// ---- rows of children ----

template <class Code>
__global__ void __launch_bounds__(kBlock)
    count_lefts(const Code* column, Rows rows, SideTest test, int64_t* lefts, int64_t blocks) {
  for (int64_t block = blockIdx.x; block < blocks; block += gridDim.x) {
    const int64_t begin = block * kPartitionBlock,
                  end = begin + kPartitionBlock < rows.n ? begin + kPartitionBlock : rows.n;
    int64_t here = 0;
    for (int64_t i = begin + threadIdx.x; i < end; i += kBlock)
      here += test.goes_left(column[rows.order != nullptr ? rows.order[rows.begin + i] : rows.begin + i]) ? 1 : 0;
    here = summed<kBlock>(here);
    if (threadIdx.x == 0) lefts[block] = here;
  }
}

// lefts: how many rows of the blocks before go left; n_left: of all.
template <class Code>
__global__ void __launch_bounds__(kBlock) move_rows(const Code* column, Rows rows, SideTest test, const int64_t* lefts,
                                                    int64_t n_left, int32_t* to, int64_t blocks) {
  __shared__ int of_warps[kBlock / kWarp];
  for (int64_t block = blockIdx.x; block < blocks; block += gridDim.x) {
    const int64_t begin = block * kPartitionBlock,
                  end = begin + kPartitionBlock < rows.n ? begin + kPartitionBlock : rows.n;
    int64_t left = lefts[block], right = n_left + begin - left;
    for (int64_t tile = begin; tile < end; tile += kBlock) {
      const int64_t i = tile + threadIdx.x;
      const bool live = i < end;
      int64_t r = 0;
      if (live) r = rows.order != nullptr ? rows.order[rows.begin + i] : rows.begin + i;
      const bool goes_left = live && test.goes_left(column[r]);
      int here;
      const int rank = rank_in_block(goes_left, of_warps, here);
      const int64_t place = goes_left ? left + rank : right + static_cast<int>(threadIdx.x) - rank;
      if (live) to[rows.begin + place] = static_cast<int32_t>(r);
      left += here;
      right += (end - tile < kBlock ? end - tile : kBlock) - here;
    }
  }
}

__global__ void __launch_bounds__(kBlock) write_leaf(int32_t* leaf, Rows rows, int32_t node) {
  grid_stride(rows.n,
              [&](int64_t i) { leaf[rows.order != nullptr ? rows.order[rows.begin + i] : rows.begin + i] = node; });
}

}  // namespace

}  // namespace einkorn::cuda
