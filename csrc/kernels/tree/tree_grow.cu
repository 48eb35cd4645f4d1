// Growing a boosted tree on the GPU. The CPU keeps the leaves and decides (tree_grow_policy.h); the card has rows and histograms.
//
//   gradients    whole numbers, as on the CPU: sums are exact in any order, so that atomics give the same bits every time
//   a split      part the rows       blocks count their lefts, running sums of the counts, rows to their places, back again
//                sum the smaller     a block for kGrowBlock rows and kTogether features, whose bins lie in shared memory; 16-bit codes in the
//                                    histogram itself. The larger child's by subtraction
//                search both         a warp for each feature and child: 32 bins at a time by running sums; of those that tie with the best the
//                                    first. Categories are sorted by one lane
//                candidates back     the only wait: the leaf with the largest gain is split next, and that is for the CPU to say
//
// Roofline: the root of 1,000,000 x 28 reads 28 MB of codes and 8 MB of gradients for each group of features, 0.03 ms at 3.0 TB/s, and makes 84 million
// additions to shared memory, some 0.1 ms on 132 SMs; a split waits for the card once, 15 us with its seven launches: a tree of 31 leaves 1 ms.
// Plan: fill_histogram: 48 registers, 4 blocks of 256 threads an SM, 36 KB of shared memory
// Plan: find_splits: 168 registers, 3 blocks of 128 threads an SM
// Plan: move_rows, make_pairs: 40 registers, 6 blocks of 256 threads an SM

#include <stdlib.h>

#include <new>

#include "kernels/cuda_group.h"
#include "kernels/cuda_philox.h"
#include "kernels/cuda_sums.h"
#include "kernels/instantiate.h"
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

// ---- the tree ----

template <class V>
void upload(V* to, const V* from, int64_t count) {
  if (count > 0)
    check(cudaMemcpyAsync(to, from, static_cast<size_t>(count) * sizeof(V), cudaMemcpyHostToDevice, current_stream()),
          "tree_grow");
}

template <class V>
void download(V* to, const V* from, int64_t count) {
  check(cudaMemcpyAsync(to, from, static_cast<size_t>(count) * sizeof(V), cudaMemcpyDeviceToHost, current_stream()),
        "tree_grow");
}

void wait() {
  check(cudaStreamSynchronize(current_stream()), "tree_grow");
}

// The tree's nodes in the memory of the CPU.
struct NodesOnHost {
  TreeGrowth k;  // with these nodes

  NodesOnHost(Carver& c, const TreeGrowth& args) : k(args) {
    const int64_t n = 2 * k.max_leaves - 1;
    k.feature = c.take<int32_t>(n);
    k.code = c.take<int32_t>(n);
    k.left = c.take<int32_t>(n);
    k.right = c.take<int32_t>(n);
    k.missing_left = c.take<uint8_t>(n);
    k.categories = c.take<uint32_t>(n * k.words);
    k.value = c.take<double>(n);
    k.gain = c.take<double>(n);
    k.cover = c.take<double>(n);
    k.count = c.take<int64_t>(n);
  }
};

// Memory of the CPU; what is not touched of it costs nothing.
class HostMemory {
 public:
  explicit HostMemory(size_t bytes) : block_(static_cast<char*>(aligned_alloc(64, (bytes + 127) / 64 * 64))) {
    if (block_ == nullptr) throw std::bad_alloc();
  }
  ~HostMemory() { free(block_); }
  HostMemory(const HostMemory&) = delete;
  HostMemory& operator=(const HostMemory&) = delete;
  char* get() const { return block_; }

 private:
  char* block_;
};

constexpr auto kWordsOnHost = [](uint32_t* out, int64_t n, uint64_t seed, uint64_t counter) {
  for (int64_t i = 0; i < n; ++i) out[i] = philox(seed, counter + static_cast<uint64_t>(i) / 4).w[i % 4];
};

template <class Code>
class Grower : public TreePolicy {
 public:
  // `args` with nodes in the memory of the CPU; `plan` lies there too, `on_card` on the card.
  Grower(const TreeGrowth& args, const GrowPlan& plan, const GrowPlan& on_card, SumKind kind)
      : TreePolicy(args, plan),
        d_(on_card),
        kind_(kind),
        sorting_(static_cast<size_t>(2 * k.n * p.most_bins) * sizeof(SortedCode)),
        lists_(static_cast<size_t>(k.n) * 12 + static_cast<size_t>(k.words) * 4 + 64) {
    int32_t* const bins = lists_.template as<int32_t>();
    int32_t* const signs = bins + k.n;
    set_ = reinterpret_cast<uint32_t*>(signs + k.n);
    uint8_t* const marks = reinterpret_cast<uint8_t*>(set_ + k.words);
    upload(bins, k.n_bins, k.n);
    if (k.monotone != nullptr) upload(signs, k.monotone, k.n);
    upload(marks, k.categorical, k.n);
    upload(d_.bin_at, p.bin_at, k.n + 1);
    upload(d_.features, p.features, used);
    if (k.rows != nullptr) launch_over(kName, copy_rows, k.row_count, d_.order, k.rows, k.row_count);
    search_ = {{},
               0,
               d_.candidates,
               d_.category_sets,
               d_.allowed,
               marks,
               bins,
               k.monotone != nullptr ? signs : nullptr,
               sorting_.template as<char>(),
               d_.bin_at,
               d_.features,
               used,
               k.n,
               k.words,
               p.most_bins};
  }

  // From the sums over all rows.
  void grow(const NodeSums& all) {
    OpenLeaf& root = plant(all);
    if (k.max_leaves > 1 && may_split(root)) {
      root.slot = take_slot();
      sum_rows(root, root.slot);
      search({{&root, 0}, {}}, {root.slot, 0});
    }
    while (leaf_count < k.max_leaves && heap_size > 0) split(p.leaves[pop()]);
    for (int64_t i = 0; i < leaf_count; ++i) {
      const OpenLeaf& leaf = p.leaves[i];
      for (int64_t w = 0; w < k.words; ++w) k.categories[leaf.node * k.words + w] = 0;
      launch_over(kName, write_leaf, leaf.sums.n, k.leaf, rows_of(leaf), leaf.node);
    }
    *k.nodes = node_count;
  }

  static constexpr const char* kName = "tree_grow";

 private:
  Hist hist(int64_t slot) const { return hist_at(d_.slots[slot], p.bins, kind_); }
  int words() const { return kind_ == SumKind::ones ? 1 : kind_ == SumKind::single ? 2 : 4; }
  Rows rows_of(const OpenLeaf& leaf) const { return {identity ? nullptr : d_.order, leaf.begin, leaf.sums.n}; }

  void sum_rows(const OpenLeaf& leaf, int64_t slot) {
    const int64_t bytes = p.slot_bytes, chunks = pieces_of(leaf.sums.n, kGrowBlock);
    const int64_t tasks = pieces_of(used, kTogether) * chunks;
    launch_over(kName, clear_words, bytes / 4, reinterpret_cast<int32_t*>(d_.slots[slot]), bytes / 4);
    const size_t of_bin = 8 * static_cast<size_t>(words()) + sizeof(int32_t);
    const size_t shared = sizeof(Code) == 1 ? kTogether * kByteBins * of_bin : 0;
    const auto sum = words() == 1   ? fill_histogram<Code, 1>
                     : words() == 2 ? fill_histogram<Code, 2>
                                    : fill_histogram<Code, 4>;
    launch(kName, sum, blocks_for(tasks), kBlock, shared, reinterpret_cast<int64_t*>(d_.slots[slot]), p.bins,
           static_cast<const Code*>(k.by_row), k.width,
           Bins{reinterpret_cast<const int32_t*>(d_.pairs), d_.bin_at, d_.features, used}, rows_of(leaf), chunks);
  }

  struct Jobs {
    Job first, second;
  };
  struct Slots {
    int64_t first, second;
  };

  // The best splits of one leaf or two, whose histograms are summed; waits for them.
  void search(const Jobs& jobs, const Slots& slots) {
    search_.count = 0;
    const auto add = [&](const Job& job, int64_t slot) {
      if (job.leaf == nullptr) return;
      allow(job, kWordsOnHost);
      upload(d_.allowed + job.side * k.n, p.allowed + job.side * k.n, k.n);
      search_.jobs[search_.count++] = {job.leaf->sums, {job.leaf->lower, job.leaf->upper}, hist(slot), job.side};
    };
    add(jobs.first, slots.first);
    add(jobs.second, slots.second);
    launch(kName, find_splits, blocks_for(pieces_of(search_.count * used, kSearchThreads / kWarp)), kSearchThreads, 0,
           search_, s);
    const Job* const both[] = {&jobs.first, &jobs.second};
    for (const Job* const job : both) {
      if (job->leaf == nullptr) continue;
      download(p.candidates + job->side * k.n, d_.candidates + job->side * k.n, used);
      if (p.most_bins > 0)
        download(p.category_sets + job->side * k.n * k.words, d_.category_sets + job->side * k.n * k.words,
                 used * k.words);
    }
    wait();
    for (const Job* const job : both)
      if (job->leaf != nullptr) settle(*job);
  }

  void split(OpenLeaf& parent) {
    const Candidate best = parent.best;
    if (best.categorical != 0) upload(set_, k.categories + parent.node * k.words, k.words);
    const SideTest test = {best.categorical != 0 ? set_ : nullptr, best.code, sizeof(Code) == 1 ? 255 : 65535,
                           k.n_bins[best.feature], best.missing_left != 0};
    const Rows rows = rows_of(parent);
    const Code* const column = static_cast<const Code*>(k.codes) + best.feature * k.all_rows;
    const int64_t blocks = pieces_of(rows.n, kPartitionBlock);
    launch(kName, count_lefts<Code>, blocks_for(blocks), kBlock, 0, column, rows, test, d_.block_lefts, blocks);
    launch(kName, scan_rows<0>, 1, kBlock, 0, d_.block_lefts, 1, blocks);
    launch(kName, move_rows<Code>, blocks_for(blocks), kBlock, 0, column, rows, test, d_.block_lefts, best.left.n,
           d_.lefts, blocks);
    launch_over(kName, copy_rows, rows.n, d_.order + rows.begin, d_.lefts + rows.begin, rows.n);
    identity = false;
    const Children made = part(parent);
    if (leaf_count < k.max_leaves) open(made.left, made.right, made.slot);
  }

  // Histograms and best splits of two new leaves; the parent's histogram is in `slot`, if there is one.
  void open(OpenLeaf& left, OpenLeaf& right, int64_t slot) {
    const bool left_smaller = left.sums.n <= right.sums.n;
    OpenLeaf& small = left_smaller ? left : right;
    OpenLeaf& large = left_smaller ? right : left;
    const bool open_small = may_split(small), open_large = may_split(large);
    if (!open_small && !open_large) {
      free_slot(slot);
      return;
    }
    small.slot = take_slot();
    const int64_t of_small = small.slot >= 0 ? small.slot : k.slots;
    int64_t of_large = slot;
    if (open_small || slot >= 0) sum_rows(small, of_small);
    if (slot >= 0) {
      large.slot = slot;
      if (open_large) launch_over(kName, subtract_bins, p.bins, hist(slot), hist(of_small), p.bins);
    } else if (open_large) {
      large.slot = take_slot();
      of_large = large.slot >= 0 ? large.slot : k.slots + 1;
      sum_rows(large, of_large);
    }
    search({{open_small ? &small : nullptr, 0}, {open_large ? &large : nullptr, 1}}, {of_small, of_large});
    for (OpenLeaf* leaf : {open_small ? nullptr : &small, open_large ? nullptr : &large})
      if (leaf != nullptr) close({leaf, 0}, false);
  }

  const GrowPlan& d_;
  const SumKind kind_;
  const StreamScratch sorting_, lists_;
  uint32_t* set_;
  Searching search_;
};

template <class Code>
void grow_from(const TreeGrowth& host, const GrowPlan& plan, const GrowPlan& on_card, SumKind kind,
               const Scoring& units, const NodeSums& all) {
  Grower<Code> grower(host, plan, on_card, kind);
  grower.s.g_unit = units.g_unit;
  grower.s.h_unit = units.h_unit;
  grower.grow(all);
}

}  // namespace

template <class T>
void tree_grow(const TreeGrow<T>& k) {
  const char* const name = "tree_grow";
  const GrowPlan on_card = carve<GrowPlan>(k);
  const HostMemory memory(Carver::bytes_of<GrowPlan>(k)),
      nodes(Carver::bytes_of<NodesOnHost>(static_cast<const TreeGrowth&>(k)));
  Carver of_plan{memory.get()}, of_nodes{nodes.get()};
  const GrowPlan plan(of_plan, k);
  const TreeGrowth host = NodesOnHost(of_nodes, k).k;

  const SumKind kind = k.hessians == nullptr ? SumKind::ones : k.wide ? SumKind::wide : SumKind::single;
  const int words = kind == SumKind::ones ? 1 : kind == SumKind::single ? 2 : 4;
  const int64_t blocks = pieces_of(k.row_count, kGrowBlock);
  launch(name, find_extremes<T>, blocks_for(blocks), kBlock, 0, k, on_card.extremes, blocks);
  download(plan.extremes, on_card.extremes, 4 * blocks);
  wait();
  Scoring units = {};
  if (const int bad = choose_units(plan.extremes, blocks, kind, units); bad != 0) {
    *k.nodes = bad;
    return;
  }
  int64_t* const sums = reinterpret_cast<int64_t*>(on_card.extremes);
  launch_over(name, clear_words, 8, reinterpret_cast<int32_t*>(sums), 8);
  launch(name, make_pairs<T>, grid_for(k.row_count), kBlock, 0, k, reinterpret_cast<int32_t*>(on_card.pairs), words,
         1 / units.g_unit, 1 / units.h_unit, sums);
  int64_t sum[4];
  download(sum, sums, 4);
  wait();
  const NodeSums all = {sum[0], kind == SumKind::ones ? k.row_count : sum[1], k.row_count, sum[2], sum[3]};
  (k.code_bytes == 1 ? grow_from<uint8_t> : grow_from<uint16_t>)(host, plan, on_card, kind, units, all);

  const int64_t grown = *k.nodes;
  upload(k.feature, host.feature, grown);
  upload(k.code, host.code, grown);
  upload(k.left, host.left, grown);
  upload(k.right, host.right, grown);
  upload(k.missing_left, host.missing_left, grown);
  upload(k.categories, host.categories, grown * k.words);
  upload(k.value, host.value, grown);
  upload(k.gain, host.gain, grown);
  upload(k.cover, host.cover, grown);
  upload(k.count, host.count, grown);
}

EINKORN_INSTANTIATE(tree_grow, TreeGrow)

}  // namespace einkorn::cuda
