// Growing a tree: the loop over its splits.
//
//     quantise gradients -> histogram and best split of the root
//     while leaves < max_leaves: take the best leaf (or the first), part its rows; histogram of the smaller child from its
//     rows, of the larger by subtraction in the parent's place; best splits of both
//
// The histogram of a small child, the subtraction and both searches are one task for each block of features, so a split
// is two launches of the pool. Children that cannot be split (too few rows, too deep) get no histogram, and after the last
// split nobody looks for another. Histograms are reused; where more leaves are open than fit the budget, a leaf keeps
// none and its children sum theirs from their rows.
//
// versions, a tree of 31 leaves from 1,000,000 x 28, avx512, 1 thread, ms                 with hessians   without
//   range of the gradients number by number (6 of them), rows fetched 16 ahead                 62           48
//   range in vectors, rows fetched 64 ahead                                                    46 to 50     36 to 38
//   blocks of 16,384 rows for 32,768, all features of a block of rows in one task              49           37
// Of these the root takes 12 (0.4 ns for a row and feature; 0.6 where rows are gathered), the partitions about 6,
// the best splits 1, the gradients 0.7.
//
// whole fits: binning, 100 trees of 31 leaves, gradients in NumPy; 2 threads, medians of 3 interleaved, a busy machine, s
//                          1,000 x 10   10,000 x 20   100,000 x 28   1,000,000 x 28
//   here                      0.020        0.080          0.40            3.9
//   LightGBM 4.7              0.041        0.141          0.87            7.5
//   XGBoost 3.2, hist         0.107        0.239          1.85            9.3

#include "kernels/tree/tree_grow.h"

#include "kernels/instantiate.h"
#include "kernels/philox.h"
#include "kernels/tree/tree_grow_histogram.h"
#include "kernels/tree/tree_grow_partition.h"
#include "kernels/tree/tree_grow_policy.h"
#include "kernels/tree/tree_grow_quantise.h"
#include "kernels/tree/tree_grow_split.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr double kUpdateCost = 0.45;  // ns for a row and feature
constexpr double kBinCost = 1.5;      // ns for a bin that is searched

constexpr auto words = [](uint32_t* out, int64_t n, uint64_t seed, uint64_t counter) { philox(out, n, seed, counter); };

// ---- the tree ----

// All of it that is the same for any codes and any kind of sums.
class Growth : public TreePolicy {
 protected:
  // What follows when a feature's bins are summed: the larger child's by subtraction, and searches.
  struct Search {
    Hist summed;
    Job of_summed;
    Hist rest;  // the parent's, of which the larger child's remain
    Job of_rest;
  };

  Growth(const TreeGrowth& args, const GrowPlan& plan, SumKind kind) : TreePolicy(args, plan), kind_(kind) {
    if (k.rows != nullptr) memcpy(p.order, k.rows, static_cast<size_t>(k.row_count) * 4);
  }

  Hist hist(int64_t slot) const { return hist_at(p.slots[slot], p.bins, kind_); }

  // ---- best splits ----

  // The best split of the tree's feature j in a leaf with this histogram.
  void search(const Job& job, const Hist& whole, int64_t j, int slot) {
    const int32_t f = p.features[j];
    Candidate& best = p.candidates[job.side * k.n + j];
    best.gain = 0;
    if (p.allowed[job.side * k.n + f] == 0) return;
    const OpenLeaf& leaf = *job.leaf;
    const Bounds bounds = {leaf.lower, leaf.upper};
    const double parent = node_score(leaf.sums, s.l2, s, bounds);
    const int64_t at = p.bin_at[f];
    const Hist own = whole.from(at);
    if (k.categorical[f] != 0)
      search_categorical(best, p.category_sets + (job.side * k.n + j) * k.words, k.words, own, f, k.n_bins[f],
                         leaf.sums, parent, s, bounds, reinterpret_cast<SortedCode*>(p.sorting[slot]));
    else
      search_numeric(best, own, f, k.n_bins[f], leaf.sums, k.monotone != nullptr ? k.monotone[f] : 0, parent, s,
                     bounds);
  }

  void follow(const Search& then, int64_t j, int thread) {
    if (then.of_rest.leaf != nullptr) {
      subtract(then.rest, then.summed, j);
      search(then.of_rest, then.rest, j, thread);
    }
    if (then.of_summed.leaf != nullptr) search(then.of_summed, then.summed, j, thread);
  }

  // ---- histograms ----

  static void add_bins(const Hist& out, const Hist& part, int64_t at, int64_t bins, bool first) {
    for (int64_t i = at; i < at + bins; ++i) out.g[i] = (first ? 0 : out.g[i]) + part.g[i];
    for (int64_t i = at; i < at + bins; ++i) out.n[i] = (first ? 0 : out.n[i]) + part.n[i];
    if (out.h != nullptr)
      for (int64_t i = at; i < at + bins; ++i) out.h[i] = (first ? 0 : out.h[i]) + part.h[i];
    if (out.g_low != nullptr)
      for (int64_t i = at; i < at + bins; ++i) {
        out.g_low[i] = (first ? 0 : out.g_low[i]) + part.g_low[i];
        out.h_low[i] = (first ? 0 : out.h_low[i]) + part.h_low[i];
      }
  }

  void subtract(const Hist& from, const Hist& what, int64_t j) const {
    const int64_t f = p.features[j], begin = p.bin_at[f], end = p.bin_at[f + 1];
    for (int64_t i = begin; i < end; ++i) from.g[i] -= what.g[i];
    for (int64_t i = begin; i < end; ++i) from.n[i] -= what.n[i];
    if (from.h != nullptr)
      for (int64_t i = begin; i < end; ++i) from.h[i] -= what.h[i];
    if (from.g_low != nullptr)
      for (int64_t i = begin; i < end; ++i) {
        from.g_low[i] -= what.g_low[i];
        from.h_low[i] -= what.h_low[i];
      }
  }

  // The leaf of each row; categories of splits that did not happen are taken back.
  void finish() {
    for (int64_t i = 0; i < leaf_count; ++i) {
      const OpenLeaf& leaf = p.leaves[i];
      for (int64_t w = 0; w < k.words; ++w) k.categories[leaf.node * k.words + w] = 0;
      const int32_t* const order = identity ? nullptr : p.order;
      const int64_t blocks = (leaf.sums.n + kPartitionBlock - 1) / kPartitionBlock;
      parallel_for(k.ws, blocks, static_cast<double>(leaf.sums.n / (blocks > 0 ? blocks : 1)) * 0.8,
                   [&](int64_t block, int) {
                     const int64_t begin = block * kPartitionBlock;
                     const int64_t end = begin + kPartitionBlock < leaf.sums.n ? begin + kPartitionBlock : leaf.sums.n;
                     for (int64_t j = leaf.begin + begin; j < leaf.begin + end; ++j)
                       k.leaf[order != nullptr ? order[j] : j] = leaf.node;
                   });
    }
    *k.nodes = node_count;
  }

 private:
  const SumKind kind_;
};

template <class Code, SumKind kKind>
class Grower : public Growth {
 public:
  Grower(const TreeGrowth& args, const GrowPlan& plan)
      : Growth(args, plan, kKind),
        sums{static_cast<const Code*>(k.by_row),
             k.width,
             reinterpret_cast<const typename PairOf<kKind>::type*>(p.pairs),
             p.features,
             used,
             k.n_bins,
             p.bin_at,
             p.bins,
             used == k.n,
             p.accumulators,
             p.block_bytes} {}

  // From the sums over all rows.
  void grow(const NodeSums& all) {
    OpenLeaf& root = plant(all);
    if (k.max_leaves > 1 && may_split(root)) {
      root.slot = take_slot();
      const Job job = {&root, 0};
      allow(job, words);
      sum_rows(0, root.sums.n, {hist(root.slot), job, {}, {}});
      settle(job);
    }
    while (leaf_count < k.max_leaves && heap_size > 0) split(p.leaves[pop()]);
    finish();
  }

 private:
  // Sums rows, and does what follows for each of the tree's features when its bins are there.
  void sum_rows(int64_t begin, int64_t n, const Search& then) {
    const Hist& out = then.summed;
    const int64_t blocks = sums.block_count(), row_blocks = (n + kGrowBlock - 1) / kGrowBlock;
    const int32_t* const order = identity ? nullptr : p.order;
    const double bins_each = static_cast<double>(p.bins) / static_cast<double>(blocks) * 2 * kBinCost;
    if (row_blocks <= 1) {
      const double cost = static_cast<double>(n * used / blocks) * kUpdateCost + bins_each;
      parallel_for(k.ws, blocks, cost, [&](int64_t b, int slot) {
        const FeatureBlock block = sums.block(b);
        sums.template run<false>(out, block, {order, begin, begin + n}, slot);
        for (int j = 0; j < block.count; ++j) follow(then, block.first + j, slot);
      });
      return;
    }
    // With many blocks of rows a task has all features of one: its codes then come from the L2 cache but for the first.
    const int64_t groups = row_blocks >= 8 ? 1 : blocks;
    memset(p.partial_used, 0, static_cast<size_t>(k.ws.threads));
    const double cost = static_cast<double>(n / row_blocks * used / groups) * kUpdateCost;
    parallel_for(k.ws, row_blocks * groups, cost, [&](int64_t task, int slot) {
      char* const memory = p.partial[slot];
      if (p.partial_used[slot] == 0) {
        memset(memory, 0, static_cast<size_t>(p.slot_bytes));
        p.partial_used[slot] = 1;
      }
      const Hist part = hist_at(memory, p.bins, kKind);
      const int64_t group = task % groups, first = begin + task / groups * kGrowBlock;
      const int64_t last = first + kGrowBlock < begin + n ? first + kGrowBlock : begin + n;
      for (int64_t b = blocks * group / groups; b < blocks * (group + 1) / groups; ++b)
        sums.template run<true>(part, sums.block(b), {order, first, last}, slot);
    });
    parallel_for(k.ws, blocks, bins_each, [&](int64_t b, int slot) {
      const FeatureBlock block = sums.block(b);
      for (int j = 0; j < block.count; ++j) {
        const int64_t f = p.features[block.first + j], at = p.bin_at[f], bins = p.bin_at[f + 1] - at;
        bool first = true;
        for (int t = 0; t < k.ws.threads; ++t) {
          if (p.partial_used[t] == 0) continue;
          const Hist part = hist_at(p.partial[t], p.bins, kKind);
          add_bins(out, part, at, bins, first);
          first = false;
        }
        follow(then, block.first + j, slot);
      }
    });
  }

  // ---- one split ----

  void split(OpenLeaf& parent) {
    const Candidate best = parent.best;
    const SideTest test = {best.categorical != 0 ? k.categories + parent.node * k.words : nullptr, best.code,
                           sizeof(Code) == 1 ? 255 : 65535, k.n_bins[best.feature], best.missing_left != 0};
    part_rows(k.ws, p, static_cast<const Code*>(k.codes) + best.feature * k.all_rows, parent.begin, parent.sums.n,
              identity, test);
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
    const Job small_job = {&small, 0}, large_job = {&large, 1};
    if (!open_small && !open_large) {
      free_slot(slot);
      return;
    }
    if (open_small) allow(small_job, words);
    if (open_large) allow(large_job, words);
    const int64_t kept = take_slot();
    const Hist of_small = hist(kept >= 0 ? kept : k.slots);
    small.slot = kept;
    const Job none = {};
    if (slot >= 0) {
      large.slot = slot;
      sum_rows(small.begin, small.sums.n,
               {of_small, open_small ? small_job : none, hist(slot), open_large ? large_job : none});
    } else {
      large.slot = open_large ? take_slot() : -1;
      const Hist of_large = hist(large.slot >= 0 ? large.slot : k.slots + 1);
      if (open_small) sum_rows(small.begin, small.sums.n, {of_small, small_job, {}, none});
      if (open_large) sum_rows(large.begin, large.sums.n, {of_large, large_job, {}, none});
    }
    close(small_job, open_small);
    close(large_job, open_large);
  }

  const Histograms<Code, kKind> sums;
};

template <class T, class Code, SumKind kKind>
void grow_tree(const TreeGrow<T>& k, const GrowPlan& plan) {
  Grower<Code, kKind> grower(k, plan);
  NodeSums all;
  if (const int bad = quantise<T, kKind>(k, plan, all, grower.s); bad != 0)
    *k.nodes = bad;
  else
    grower.grow(all);
}

template <class T, class Code>
void grow_over(const TreeGrow<T>& k, const GrowPlan& plan) {
  if (k.hessians == nullptr)
    grow_tree<T, Code, SumKind::ones>(k, plan);
  else if (k.wide)
    grow_tree<T, Code, SumKind::wide>(k, plan);
  else
    grow_tree<T, Code, SumKind::single>(k, plan);
}

}  // namespace

template <class T>
void tree_grow(const TreeGrow<T>& k) {
  const GrowPlan plan = carve<GrowPlan>(k);
  k.code_bytes == 1 ? grow_over<T, uint8_t>(k, plan) : grow_over<T, uint16_t>(k, plan);
}

EINKORN_INSTANTIATE(tree_grow, TreeGrow)

}  // namespace einkorn::EINKORN_ISA
