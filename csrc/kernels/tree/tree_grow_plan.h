// Where everything lies in the scratch memory of tree_grow: one list, walked by the binding to know the size and by the
// kernel to know the places.

#pragma once

#include "kernels/tree/tree_grow.h"

namespace einkorn {

#define EINKORN_PLAN inline __attribute__((always_inline))

// The sums of one node's rows, in units of the quantised gradients.
struct NodeSums {
  int64_t g, h, n;
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
  char* slots;
  int64_t* free_slots;
  char* partial;
  uint8_t* partial_used;
  char* accumulators;
  OpenLeaf* leaves;
  int32_t* heap;
  Candidate* candidates;    // [2, n]
  uint32_t* category_sets;  // [2, n, words], only of categorical features
  uint32_t* paths;          // [max_leaves, group_words]
  uint8_t* allowed;         // [2, n]
  uint64_t* draws;
  uint32_t* random;
  int32_t* features;
  char* sorting;  // [threads, most_bins]: key and code
  double* extremes;
  int64_t bytes;
};

constexpr int64_t kRandomRoom = 512;

template <class T>
EINKORN_PLAN GrowPlan make_plan(const TreeGrow<T>& k, char* scratch) {
  GrowPlan p;
  int64_t at = 0, bins = 0, most = 0, widest = 0;
  for (int64_t f = 0; f < k.n; ++f) {
    const int64_t padded = (k.n_bins[f] + 1 + 7) / 8 * 8;
    bins += padded;
    if (padded > widest) widest = padded;
    if (k.categorical[f] != 0 && k.n_bins[f] > most) most = k.n_bins[f];
  }
  const bool constant = k.hessians == nullptr;
  p.bins = bins;
  p.slot_bytes = (bins * (constant ? 12 : 20) + 63) / 64 * 64;
  p.block_bytes = k.code_bytes == 1 ? 8 * 256 * 16 : (widest > 2048 ? widest : 2048) * 16;
  p.most_bins = most;
  const auto take = [&]<class Element>(Element*& place, int64_t bytes) __attribute__((always_inline)) {
    place = reinterpret_cast<Element*>(reinterpret_cast<uintptr_t>(scratch) + static_cast<uintptr_t>(at));
    at += (bytes + 63) / 64 * 64;
  };
  const int64_t blocks = k.row_count / kPartitionBlock + 1, threads = k.ws.threads;
  take(p.bin_at, (k.n + 1) * 8);
  take(p.pairs, k.all_rows * (constant ? 4 : 8));
  take(p.order, k.row_count * 4);
  take(p.lefts, k.row_count * 4);
  take(p.rights, k.row_count * 4);
  take(p.block_lefts, blocks * 8);
  take(p.slots, (k.slots + 2) * p.slot_bytes);
  take(p.free_slots, (k.slots + 2) * 8);
  take(p.partial, k.row_count > kGrowBlock ? threads * p.slot_bytes : 0);
  take(p.partial_used, threads);
  take(p.accumulators, threads * p.block_bytes);
  take(p.leaves, k.max_leaves * static_cast<int64_t>(sizeof(OpenLeaf)));
  take(p.heap, k.max_leaves * 4);
  take(p.candidates, 2 * k.n * static_cast<int64_t>(sizeof(Candidate)));
  take(p.category_sets, most > 0 ? 2 * k.n * k.words * 4 : 0);
  take(p.paths, k.groups != nullptr ? k.max_leaves * k.group_words * 4 : 0);
  take(p.allowed, 2 * k.n);
  take(p.draws, k.n * 8);
  take(p.random, (k.n + kRandomRoom) * 4);
  take(p.features, k.n * 4);
  take(p.sorting, threads * most * 16);
  take(p.extremes, (k.row_count / kGrowBlock + 1) * 2 * 8);
  p.bytes = at;
  return p;
}

}  // namespace einkorn
