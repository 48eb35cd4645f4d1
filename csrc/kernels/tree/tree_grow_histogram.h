// Histograms of a node's rows over the codes by row.
//
// A gradient is an int32 in units of 2^-30 of (a power of two above) the largest, so sums are exact integers. A block of
// features has its accumulators in the L1 cache, one for each bin, and each row adds to one of them for each feature, with
// one load, one addition and one store:
//
//     with hessians      | sum of g, 64 bits | sum of h, 47 bits | rows, 17 bits |     one 128-bit vector
//     without            | sum of g, 47 bits | rows, 17 bits |                         one 64-bit word
//     wide               | sums of g and h as above | sums of their low parts, 64 bits each |
//
// Wide is for hessians that differ by more than 2^20, as weights of 1 and 1e10 make them: what 30 bits leave of a number is
// kept in 30 more. It takes an eighth more time, and only trees that need it have it.
//
// After at most kGrowBlock rows, when no field can have overflowed, they are unpacked into the node's histogram
//
//     g int64 [bins]   h int64 [bins] (not without hessians)   n int32 [bins]
//
// whose features lie one after another, each with the bin of missing values behind its own, rounded up to 8 bins. Large
// nodes are cut into blocks of rows: a thread adds what it has summed to a histogram of its own, and these are added up in
// the end. Which thread summed what does not matter, since integer sums are exact.

#pragma once

#include "kernels/tree/tree_grow_score.h"
#include "simd/simd.h"

namespace einkorn {
inline namespace EINKORN_ISA {

constexpr int kCountBits = 17;
constexpr int64_t kCountMask = (int64_t{1} << kCountBits) - 1;
constexpr int kBlockFeatures = 8;
constexpr int64_t kAhead = 64;  // rows fetched ahead

typedef int64_t PairSum __attribute__((vector_size(16)));
typedef int64_t WideSum __attribute__((vector_size(32)));

template <SumKind kKind>
struct PairOf {
  using type = int32_t;
  using Sum = int64_t;
  static EINKORN_INLINE Sum packed(type g) { return static_cast<int64_t>(g) * (int64_t{1} << kCountBits) + 1; }
};
template <>
struct PairOf<SumKind::wide> {
  struct type {
    int32_t g, h, g_low, h_low;
  };
  using Sum = WideSum;
  static EINKORN_INLINE Sum packed(type p) {
    return Sum{p.g, (static_cast<int64_t>(p.h) << kCountBits) + 1, p.g_low, p.h_low};
  }
};
template <>
struct PairOf<SumKind::single> {
  struct type {
    int32_t g, h;
  };
  using Sum = PairSum;
  static EINKORN_INLINE Sum packed(type p) { return Sum{p.g, (static_cast<int64_t>(p.h) << kCountBits) + 1}; }
};

// What the rows of one block are: row i is order[i], or i itself.
struct RowRange {
  const int32_t* order;  // null: the rows are begin, begin + 1, ...
  int64_t begin, end;
};

// sums[f * kBins + code] for kFeatures features side by side, 8-bit codes.
template <SumKind kKind, bool kOrdered, int kFeatures>
void accumulate_bytes(typename PairOf<kKind>::Sum* sums, const uint8_t* by_row, int64_t width,
                      const typename PairOf<kKind>::type* pairs, RowRange rows) {
  using Sum = typename PairOf<kKind>::Sum;
  for (int64_t i = rows.begin; i < rows.end; ++i) {
    const int64_t r = kOrdered ? rows.order[i] : i;
    if (kOrdered && i + kAhead < rows.end) {
      const int64_t later = rows.order[i + kAhead];
      __builtin_prefetch(by_row + later * width);
      __builtin_prefetch(pairs + later);
    }
    const auto add = PairOf<kKind>::packed(pairs[r]);
    const uint8_t* const codes = by_row + r * width;
    // The feature's place is added to the address last: then it is part of the load and the store.
    EINKORN_UNROLL for (int f = 0; f < kFeatures; ++f) {
      Sum* const bin = sums + codes[f];
      bin[f * 256] += add;
    }
  }
}

// Any features, any codes: sums[at[j] + code of feature column[j]].
template <class Code, SumKind kKind>
void accumulate_any(typename PairOf<kKind>::Sum* sums, const Code* by_row, int64_t width,
                    const typename PairOf<kKind>::type* pairs, RowRange rows, const int32_t* column, const int64_t* at,
                    int features) {
  for (int64_t i = rows.begin; i < rows.end; ++i) {
    const int64_t r = rows.order != nullptr ? rows.order[i] : i;
    if (rows.order != nullptr && i + kAhead < rows.end) __builtin_prefetch(by_row + rows.order[i + kAhead] * width);
    const auto add = PairOf<kKind>::packed(pairs[r]);
    const Code* const codes = by_row + r * width;
    for (int j = 0; j < features; ++j) sums[at[j] + codes[column[j]]] += add;
  }
}

// The features [first, first + count) of the tree's list, as one block of a task.
struct FeatureBlock {
  int64_t first;
  int count;
};

template <class Code, SumKind kKind>
struct Histograms {
  using Pair = typename PairOf<kKind>::type;
  using Sum = typename PairOf<kKind>::Sum;

  const Code* by_row;
  int64_t width;
  const Pair* pairs;
  const int32_t* features;  // the tree's
  int64_t feature_count;
  const int32_t* n_bins;
  const int64_t* bin_at;
  int64_t bins;
  bool contiguous;                // features are 0, 1, 2, ...
  PartOfEach<char> accumulators;  // of threads
  int64_t block_bytes;

  EINKORN_INLINE int64_t padded(int64_t f) const { return bin_at[f + 1] - bin_at[f]; }

  // Blocks have at most kBlockFeatures features, about equally many; with 16-bit codes as many as the accumulators hold.
  EINKORN_INLINE int64_t block_count() const {
    if constexpr (sizeof(Code) == 1) return (feature_count + kBlockFeatures - 1) / kBlockFeatures;
    int64_t blocks = 0;
    for (int64_t j = 0; j < feature_count; j += block_from(j).count) ++blocks;
    return blocks;
  }

  EINKORN_INLINE FeatureBlock block_from(int64_t first) const {
    const int64_t room = block_bytes / static_cast<int64_t>(kKind == SumKind::wide ? sizeof(WideSum) : sizeof(PairSum));
    int64_t used = 0;
    int count = 0;
    while (first + count < feature_count && count < kBlockFeatures) {
      used += padded(features[first + count]);
      if (used > room && count > 0) break;
      ++count;
    }
    return {first, count};
  }

  EINKORN_INLINE FeatureBlock block(int64_t b) const {
    if constexpr (sizeof(Code) == 1) {
      const int64_t blocks = block_count(), first = feature_count * b / blocks;
      return {first, static_cast<int>(feature_count * (b + 1) / blocks - first)};
    }
    FeatureBlock found = block_from(0);
    for (; b > 0; --b) found = block_from(found.first + found.count);
    return found;
  }

  // Writes or adds the sums over the rows for the features of a block.
  template <bool kAdd>
  void run(const Hist& out, FeatureBlock b, RowRange rows, int slot) const {
    Sum* const sums = reinterpret_cast<Sum*>(accumulators[slot]);
    const bool bytes = sizeof(Code) == 1;
    int64_t at[kBlockFeatures] = {}, next = 0;
    for (int j = 0; j < b.count; ++j) {
      const int64_t bins_here = padded(features[b.first + j]);
      at[j] = bytes ? j * 256 : next;
      next += bins_here;
      memset(static_cast<void*>(sums + at[j]), 0, static_cast<size_t>(bins_here) * sizeof(Sum));
    }
    accumulate(sums, b, rows, at);
    for (int j = 0; j < b.count; ++j) {
      const int64_t f = features[b.first + j], bins_here = padded(f), to = bin_at[f];
      unpack<kAdd>(sums + at[j], out.from(to), bins_here);
    }
  }

 private:
  template <bool kAdd>
  static EINKORN_INLINE void unpack(const Sum* sums, const Hist& out, int64_t bins) {
    int64_t *const g = out.g, *const h = out.h, *const g_low = out.g_low, *const h_low = out.h_low;
    int32_t* const n = out.n;
    for (int64_t i = 0; i < bins; ++i) {
      int64_t packed, sum_g, sum_h = 0;
      if constexpr (kKind == SumKind::ones) {
        packed = sums[i];
        sum_g = packed >> kCountBits;
      } else {
        sum_g = sums[i][0];
        packed = sums[i][1];
        sum_h = packed >> kCountBits;
      }
      const auto rows = static_cast<int32_t>(packed & kCountMask);
      g[i] = kAdd ? g[i] + sum_g : sum_g;
      if (kKind != SumKind::ones) h[i] = kAdd ? h[i] + sum_h : sum_h;
      if constexpr (kKind == SumKind::wide) {
        g_low[i] = kAdd ? g_low[i] + sums[i][2] : sums[i][2];
        h_low[i] = kAdd ? h_low[i] + sums[i][3] : sums[i][3];
      }
      n[i] = kAdd ? n[i] + rows : rows;
    }
  }

  EINKORN_INLINE void accumulate(Sum* sums, FeatureBlock b, RowRange rows, const int64_t* at) const {
    if constexpr (sizeof(Code) == 1) {
      if (contiguous) {
        rows.order != nullptr ? accumulate_features<true>(sums, b, rows) : accumulate_features<false>(sums, b, rows);
        return;
      }
    }
    accumulate_any<Code, kKind>(sums, by_row, width, pairs, rows, features + b.first, at, b.count);
  }

  template <bool kOrdered>
  EINKORN_INLINE void accumulate_features(Sum* sums, FeatureBlock b, RowRange rows) const {
    const uint8_t* const codes = reinterpret_cast<const uint8_t*>(by_row) + b.first;
    switch (b.count) {
#define EINKORN_CASE(count) \
  case count:               \
    return accumulate_bytes<kKind, kOrdered, count>(sums, codes, width, pairs, rows);
      EINKORN_CASE(1)
      EINKORN_CASE(2)
      EINKORN_CASE(3)
      EINKORN_CASE(4)
      EINKORN_CASE(5)
      EINKORN_CASE(6)
      EINKORN_CASE(7)
      EINKORN_CASE(8)
#undef EINKORN_CASE
    }
  }
};

}  // namespace EINKORN_ISA
}  // namespace einkorn
