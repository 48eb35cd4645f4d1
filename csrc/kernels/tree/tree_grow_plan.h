// Where everything lies in the scratch memory of tree_grow.

#pragma once

#include "kernels/tree/tree_grow.h"

namespace einkorn {

inline namespace EINKORN_ISA {

// What is summed for each bin: gradients alone, gradients and hessians, or both in two parts (tree_grow_histogram.h).
enum class SumKind : int { ones, single, wide };

// The sums of one node's rows, in units of the quantised gradients; the low parts, in 2^-30 of these, are 0 unless wide.
struct NodeSums {
  int64_t g, h, n, g_low, h_low;
};

struct Candidate {
  double gain;  // 0: there is no split
  NodeSums left;
  int32_t feature, code;
  uint8_t missing_left, categorical;
};

struct OpenLeaf {
  NodeSums sums;
  Candidate best;
  double lower, upper;  // bounds of the value
  int64_t begin;        // its rows are order[begin : begin + sums.n]
  int32_t node, depth;
  int64_t slot;  // of its histogram, -1: none is kept
};

// Rows of a histogram that one task adds up: what the packed accumulators hold (tree_grow_histogram.h).
constexpr int64_t kGrowBlock = 16384;
constexpr int64_t kPartitionBlock = 16384;
constexpr int64_t kSlotBudget = int64_t{256} << 20;
constexpr int64_t kRandomRoom = 512;

struct GrowPlan {
  int64_t bins;         // of all features, each rounded up to 8 with the missing one
  int64_t slot_bytes;   // of one histogram
  int64_t block_bytes;  // of a thread's accumulators
  int64_t most_bins;    // of a categorical feature

  int64_t* bin_at;  // [n + 1]
  char* pairs;
  int32_t* order;
  int32_t* lefts;
  int32_t* rights;
  int64_t* block_lefts;
  PartOfEach<char> slots;
  int64_t* free_slots;
  PartOfEach<char> partial;  // of threads
  uint8_t* partial_used;
  PartOfEach<char> accumulators;
  OpenLeaf* leaves;
  int32_t* heap;
  Candidate* candidates;    // [2, n]
  uint32_t* category_sets;  // [2, n, words], only of categorical features
  uint32_t* paths;          // [max_leaves, group_words]
  uint8_t* allowed;         // [2, n]
  uint64_t* draws;
  uint32_t* random;
  int32_t* features;
  PartOfEach<char> sorting;  // [threads, most_bins]: key and code
  double* extremes;

  template <class T>
  GrowPlan(Carver& c, const TreeGrow<T>& k);
};

template <class T>
inline GrowPlan::GrowPlan(Carver& c, const TreeGrow<T>& k) {
  int64_t widest = 0;
  bins = most_bins = 0;
  for (int64_t f = 0; f < k.n; ++f) {
    const int64_t padded = (k.n_bins[f] + 1 + 7) / 8 * 8;
    bins += padded;
    if (padded > widest) widest = padded;
    if (k.categorical[f] != 0 && k.n_bins[f] > most_bins) most_bins = k.n_bins[f];
  }
  const int place = k.hessians == nullptr ? 0 : (k.wide ? 2 : 1);
  constexpr int64_t kPairBytes[] = {4, 8, 16}, kBinBytes[] = {12, 20, 36};
  slot_bytes = (bins * kBinBytes[place] + 63) / 64 * 64;
  block_bytes = (k.code_bytes == 1 ? 8 * 256 : (widest > 2048 ? widest : 2048)) * (place == 2 ? 32 : 16);
  const int64_t blocks = k.row_count / kPartitionBlock + 1, threads = k.ws.threads;
  bin_at = c.take<int64_t>(k.n + 1);
  pairs = c.take<char>(k.all_rows * kPairBytes[place]);
  order = c.take<int32_t>(k.row_count);
  lefts = c.take<int32_t>(k.row_count);
  rights = c.take<int32_t>(k.row_count);
  block_lefts = c.take<int64_t>(blocks);
  slots = c.take_each<char>(k.slots + 2, slot_bytes);
  free_slots = c.take<int64_t>(k.slots + 2);
  partial = c.take_each<char>(k.row_count > kGrowBlock ? threads : 0, slot_bytes);
  partial_used = c.take<uint8_t>(threads);
  accumulators = c.take_each<char>(threads, block_bytes);
  leaves = c.take<OpenLeaf>(k.max_leaves);
  heap = c.take<int32_t>(k.max_leaves);
  candidates = c.take<Candidate>(2 * k.n);
  category_sets = c.take<uint32_t>(most_bins > 0 ? 2 * k.n * k.words : 0);
  paths = c.take<uint32_t>(k.groups != nullptr ? k.max_leaves * k.group_words : 0);
  allowed = c.take<uint8_t>(2 * k.n);
  draws = c.take<uint64_t>(k.n);
  random = c.take<uint32_t>(k.n + kRandomRoom);
  features = c.take<int32_t>(k.n);
  sorting = c.take_each<char>(threads, most_bins * 16);
  extremes = c.take<double>((k.row_count / kGrowBlock + 1) * 4);
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
