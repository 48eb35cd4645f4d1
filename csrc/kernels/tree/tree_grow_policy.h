// How a tree grows, whoever sums and searches: which leaf is split next, which features it may use, what becomes of its children.
//
// All of it lies in the memory of the CPU, the tree's nodes too.

#pragma once

#include "kernels/tree/tree_grow_score.h"
#include "kernels/tree/tree_split.h"

namespace einkorn {
inline namespace EINKORN_ISA {

// ---- which features a node may use ----

// Marks the `share` of the marked features that has the smallest words of the stream from `counter` on.
template <class Words>
inline void draw_features(uint8_t* marks, int64_t n, double share, uint64_t seed, uint64_t counter, const GrowPlan& p,
                          const Words& words) {
  words(p.random, n, seed, counter);
  int64_t m = 0;
  for (int64_t f = 0; f < n; ++f)
    if (marks[f] != 0) p.draws[m++] = static_cast<uint64_t>(p.random[f]) << 32 | static_cast<uint64_t>(f);
  int64_t wanted = static_cast<int64_t>(::floor(share * static_cast<double>(m) + 0.5));
  if (wanted < 1) wanted = 1;
  int64_t gap = 1;
  while (gap < m / 3) gap = 3 * gap + 1;
  for (; gap > 0; gap /= 3)
    for (int64_t i = gap; i < m; ++i) {
      const uint64_t moved = p.draws[i];
      int64_t j = i;
      for (; j >= gap && p.draws[j - gap] > moved; j -= gap) p.draws[j] = p.draws[j - gap];
      p.draws[j] = moved;
    }
  for (int64_t i = wanted; i < m; ++i) marks[p.draws[i] & 0xffffffff] = 0;
}

// ---- the tree ----

class TreePolicy {
 public:
  Scoring s;

 protected:
  // A leaf whose best split is looked for, and where its candidates go.
  struct Job {
    OpenLeaf* leaf;  // null: none
    int side;
  };

  TreePolicy(const TreeGrowth& args, const GrowPlan& plan) : k(args), p(plan) {
    s = {1,
         1,
         k.alpha,
         k.l2,
         k.min_weight,
         k.step,
         k.min_gain,
         k.cat_smooth,
         k.cat_l2,
         k.min_samples,
         k.max_categories,
         k.onehot,
         k.monotone != nullptr || k.step > 0};
    p.bin_at[0] = 0;
    for (int64_t f = 0; f < k.n; ++f) p.bin_at[f + 1] = p.bin_at[f] + (k.n_bins[f] + 1 + 7) / 8 * 8;
    used = k.features != nullptr ? k.feature_count : k.n;
    for (int64_t j = 0; j < used; ++j) p.features[j] = k.features != nullptr ? k.features[j] : static_cast<int32_t>(j);
    for (int64_t i = 0; i < k.slots; ++i) p.free_slots[i] = k.slots - 1 - i;
    free_count = k.slots;
    identity = k.rows == nullptr;
  }

  int64_t take_slot() { return free_count > 0 ? p.free_slots[--free_count] : -1; }
  void free_slot(int64_t slot) {
    if (slot >= 0 && slot < k.slots) p.free_slots[free_count++] = slot;
  }

  void add_node(OpenLeaf& leaf) {
    const int64_t i = node_count++;
    leaf.node = static_cast<int32_t>(i);
    k.feature[i] = k.code[i] = k.left[i] = k.right[i] = -1;
    k.missing_left[i] = 0;
    for (int64_t w = 0; w < k.words; ++w) k.categories[i * k.words + w] = 0;
    k.value[i] = k.rate * weight_of(leaf.sums, s.l2, {leaf.lower, leaf.upper});
    k.gain[i] = 0;
    k.cover[i] = h_of(leaf.sums, s);
    k.count[i] = leaf.sums.n;
  }

  double weight_of(const NodeSums& sum, double l2, Bounds bounds) const {
    return leaf_weight(g_of(sum, s), h_of(sum, s), l2, s, bounds);
  }

  bool may_split(const OpenLeaf& leaf) const {
    return leaf.depth < k.max_depth && leaf.sums.n >= 2 * k.min_samples && used > 0 &&
           h_of(leaf.sums, s) >= 2 * k.min_weight;
  }

  // Marks the features that the leaf may use.
  template <class Words>
  void allow(const Job& job, const Words& words) {
    uint8_t* const marks = p.allowed + job.side * k.n;
    memset(marks, 0, static_cast<size_t>(k.n));
    for (int64_t j = 0; j < used; ++j) marks[p.features[j]] = 1;
    const uint64_t stream = k.tree << 40, stride = static_cast<uint64_t>(k.n / 4 + 1);
    const OpenLeaf& leaf = *job.leaf;
    if (k.by_level < 1)
      draw_features(marks, k.n, k.by_level, k.seed, stream + static_cast<uint64_t>(leaf.depth) * stride, p, words);
    if (k.by_node < 1)
      draw_features(marks, k.n, k.by_node, k.seed,
                    stream + (uint64_t{1} << 39) + static_cast<uint64_t>(leaf.node) * stride, p, words);
    if (k.groups == nullptr) return;
    const uint32_t* const path = p.paths + (&leaf - p.leaves) * k.group_words;
    for (int64_t f = 0; f < k.n; ++f) {
      bool fits = false;
      for (int64_t g = 0; g < k.group_count && !fits; ++g) {
        const uint32_t* const group = k.groups + g * k.group_words;
        fits = (group[f / 32] >> (f % 32) & 1) != 0;
        for (int64_t w = 0; w < k.group_words && fits; ++w) fits = (path[w] & ~group[w]) == 0;
      }
      if (!fits) marks[f] = 0;
    }
  }

  // Takes the best of the candidates, of equal ones the first; a leaf with one waits in the heap, others give back their histograms.
  void settle(const Job& job) {
    OpenLeaf& leaf = *job.leaf;
    const Candidate* const found = p.candidates + job.side * k.n;
    const double parent = node_score(leaf.sums, s.l2, s, {leaf.lower, leaf.upper});
    int64_t best = 0;
    double bar = 0;
    for (int64_t j = 0; j < used; ++j) {
      if (!(found[j].gain > bar)) continue;
      best = j;
      bar = found[j].gain + tie_of(found[j].gain + parent, parent);
    }
    leaf.best = found[best];
    if (leaf.best.gain > 0) {
      if (leaf.best.categorical != 0)
        memcpy(k.categories + leaf.node * k.words, p.category_sets + (job.side * k.n + best) * k.words,
               static_cast<size_t>(k.words) * 4);
      push(static_cast<int32_t>(&leaf - p.leaves));
    } else {
      free_slot(leaf.slot);
      leaf.slot = -1;
    }
  }

  void close(const Job& job, bool opened) {
    if (opened) {
      settle(job);
    } else {
      free_slot(job.leaf->slot);
      job.leaf->slot = -1;
    }
  }

  // The root, as a leaf.
  OpenLeaf& plant(const NodeSums& all) {
    OpenLeaf& root = p.leaves[0];
    root = {all, {}, -INFINITY, INFINITY, 0, 0, 0, -1};
    leaf_count = 1;
    add_node(root);
    for (int64_t w = 0; k.groups != nullptr && w < k.group_words; ++w) p.paths[w] = 0;
    return root;
  }

  // What a split made, and where the parent's histogram is: -1, there is none.
  struct Children {
    OpenLeaf& left;
    OpenLeaf& right;
    int64_t slot;
  };

  // Writes the best split of a leaf down, whose rows were parted.
  Children part(OpenLeaf& parent) {
    const Candidate best = parent.best;
    const int64_t node = parent.node, at = &parent - p.leaves;
    const NodeSums right_sums = minus(parent.sums, best.left);
    k.feature[node] = best.feature;
    k.code[node] = best.categorical != 0 ? -1 : best.code;
    k.missing_left[node] = best.missing_left;
    k.gain[node] = best.gain;

    // The left child takes the parent's place, the right one a new place.
    OpenLeaf& left = parent;
    OpenLeaf& right = p.leaves[leaf_count++];
    const int64_t slot = parent.slot;
    right = {right_sums, {}, parent.lower, parent.upper, parent.begin + best.left.n, 0, parent.depth + 1, -1};
    left = {best.left, {}, parent.lower, parent.upper, parent.begin, 0, parent.depth + 1, -1};
    if (k.monotone != nullptr && k.monotone[best.feature] != 0) {
      const Bounds bounds = {left.lower, left.upper};
      const double middle = (weight_of(left.sums, s.l2, bounds) + weight_of(right.sums, s.l2, bounds)) / 2;
      const bool rises = k.monotone[best.feature] > 0;
      (rises ? left.upper : left.lower) = middle;
      (rises ? right.lower : right.upper) = middle;
    }
    add_node(left);
    add_node(right);
    k.left[node] = left.node;
    k.right[node] = right.node;
    if (k.groups != nullptr) {
      uint32_t* const path = p.paths + at * k.group_words;
      path[best.feature / 32] |= uint32_t{1} << (best.feature % 32);
      memcpy(p.paths + (&right - p.leaves) * k.group_words, path, static_cast<size_t>(k.group_words) * 4);
    }
    return {left, right, slot};
  }

  // ---- the heap of leaves that can be split ----

  bool before(int32_t a, int32_t b) const {
    const OpenLeaf &x = p.leaves[a], &y = p.leaves[b];
    const double first = rounded_gain(x.best.gain), second = rounded_gain(y.best.gain);
    if (!k.depth_first && first != second) return first > second;
    return x.node < y.node;
  }

  void push(int32_t leaf) {
    int64_t i = heap_size++;
    for (; i > 0 && before(leaf, p.heap[(i - 1) / 2]); i = (i - 1) / 2) p.heap[i] = p.heap[(i - 1) / 2];
    p.heap[i] = leaf;
  }

  int32_t pop() {
    const int32_t top = p.heap[0], last = p.heap[--heap_size];
    int64_t i = 0;
    for (;;) {
      int64_t child = 2 * i + 1;
      if (child >= heap_size) break;
      if (child + 1 < heap_size && before(p.heap[child + 1], p.heap[child])) ++child;
      if (!before(p.heap[child], last)) break;
      p.heap[i] = p.heap[child];
      i = child;
    }
    p.heap[i] = last;
    return top;
  }

  const TreeGrowth& k;
  const GrowPlan& p;
  int64_t used;  // features
  int64_t node_count = 0, leaf_count = 0, heap_size = 0, free_count = 0;
  bool identity = true;
};

}  // namespace EINKORN_ISA
}  // namespace einkorn
