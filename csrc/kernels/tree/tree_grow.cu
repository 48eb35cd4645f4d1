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

#include "kernels/cuda_philox.h"
#include "kernels/instantiate.h"
#include "kernels/tree/tree_grow_cuda.h"

namespace einkorn::cuda {

namespace {

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
