// Trees grown depth first or best first; the rows of a node lie together, and a split moves them apart in order.
//
//   rows   [ 7 2 9 4 1 8 ]              a row: its number, and what the statistic needs of it (tree_statistics.h)
//   split  [ 2 4 1 | 7 9 8 ]            the left ones written over the front, the right ones through a spare array
//   bins   code 3: + + , code 7: + ...  codes[feature][row] of each row, one addition; then a scan over the bins in use
//   bits   ...1...1..                   bins in use; small nodes walk over set bits, so n rows cost O(n), not O(bins)
//
// So nodes are never sorted: bits put even five rows with 16-bit codes in order. Bins are cleared as they were filled.
//
// versions, 100,000 x 28, 2 classes, bootstrap, 5 features a node, fully grown (25,075 nodes), 255 bins, avx512, 1 thread:
// least of 5 runs, ms a tree; the machine was shared
//   any number of classes in one loop                       38
//   every bin looked at, however few rows a node has        26-29
//   bits in nodes of any size                               24-26
//   codes row by row: one cache line for a row's features   25-26
//   bits below two rows a bin, else every bin               22-24
//   scikit-learn 1.9, 2 threads: 520 ms a tree and core

#include "kernels/tree/tree_forest.h"

#include <math.h>
#include <string.h>

#include "kernels/philox.h"
#include "kernels/tree/tree_split.h"
#include "kernels/tree/tree_statistics.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr uint64_t kNodeCounter = uint64_t{1} << 40;  // where the words of the nodes begin

// Splits whose gains, or scores, differ by no more than this part of them are equal.
constexpr double kTieOfGain = 1e-9;
constexpr double kTieOfScore = 1e-13;

// Numbers of one tree, in the order in which they are asked for.
struct Draws {
  static constexpr int64_t kBuffer = kForestDraws;
  static_assert(kBuffer % kWords == 0);

  uint32_t* words;
  uint64_t seed, counter;
  int64_t used = kBuffer;

  uint32_t word() {
    if (used == kBuffer) {
      philox(words, kBuffer, seed, counter);
      counter += kBuffer / 4;
      used = 0;
    }
    return words[used++];
  }

  int64_t below(int64_t n) {
    return static_cast<int64_t>(static_cast<uint64_t>(word()) * static_cast<uint64_t>(n) >> 32);
  }
};

struct Split {
  double score;
  double threshold;
  int32_t feature;
  int32_t code;  // the last one on the left
  bool missing_left;
  bool has_missing;
};

// A node whose rows wait: for a look at them (depth first) or for their split (best first).
struct Waiting {
  int64_t start, n;
  int32_t depth, node;  // node: the parent, or the node itself
  bool left;
  double gain;
  Split split;
};
static_assert(sizeof(Waiting) <= kForestWaitingWords * 8);

template <class Code, class Statistic>
struct Grower {
  using Row = typename Statistic::Row;
  using Word = typename Statistic::Word;
  static constexpr Code kMissing = static_cast<Code>(-1);

  const GrowForest& k;
  const int64_t tree;
  const ScanArrays at;
  Statistic statistic;
  Row* const rows;
  Row* const spare;
  Word* const bins;
  int32_t* const present;
  int32_t* const features;
  Waiting* const queue;
  uint64_t* const bits;
  uint64_t* const summary;  // which words of bits are not zero, for 16-bit codes
  Draws draws;
  int64_t nodes = 0, reserved = 1;
  bool full = false;
  double total = 0;  // weight of the tree's rows

  Grower(const GrowForest& args, int64_t which, const ForestParts& s)
      : k(args),
        tree(which),
        at{s.weight, s.a, s.b, s.score, s.number, s.totals, s.logs},
        statistic(args, at),
        rows(reinterpret_cast<Row*>(s.rows)),
        spare(reinterpret_cast<Row*>(s.spare)),
        bins(reinterpret_cast<Word*>(s.bins)),
        present(s.present),
        features(s.features),
        queue(reinterpret_cast<Waiting*>(s.queue)),
        bits(s.bits),
        summary(s.summary),
        draws{s.words, static_cast<uint64_t>(args.seeds[which]), kNodeCounter} {}

  const Code* column(int64_t feature) const { return static_cast<const Code*>(k.codes) + feature * k.rows; }

  void grow() {
    const int64_t n = take_rows();
    k.node_count[tree] = n < 0 ? int64_t{kTooHeavy} : 0;
    if (n <= 0) return;
    const int64_t stride = statistic.stride();
    memset(bins, 0, static_cast<size_t>((k.max_bins > 3 ? k.max_bins : 3) * stride) * sizeof(Word));
    memset(bins + kMissing * stride, 0, static_cast<size_t>(stride) * sizeof(Word));
    constexpr size_t kWordsOfBits = sizeof(Code) == 1 ? 4 : 1024;
    memset(bits, 0, kWordsOfBits * sizeof(uint64_t));
    if constexpr (sizeof(Code) == 2) memset(summary, 0, kWordsOfBits / 64 * sizeof(uint64_t));
    if (k.criterion == ForestCriterion::entropy) {
      double* const logs = const_cast<double*>(at.logs);
      for (int64_t i = 0; i < kLogs; ++i) logs[i] = entropy_term(static_cast<double>(i));
    }
    for (int64_t f = 0; f < k.features; ++f) features[f] = static_cast<int32_t>(f);
    if (k.max_leaf_nodes > 0)
      best_first(n);
    else
      depth_first(n);
    k.node_count[tree] = full ? int64_t{kNoRoom} : nodes;
  }

 private:
  // The rows of weight above 0, or -1 if whole counts add up to too much.
  int64_t take_rows() {
    const uint16_t* const counts = k.counts ? k.counts + tree * k.rows : nullptr;
    int64_t n = 0, sum = 0;
    for (int64_t r = 0; r < k.rows; ++r) {
      const int64_t times = counts ? counts[r] : 1;
      if (times == 0) continue;
      sum += times;
      rows[n] = Statistic::make(k, tree, r, times);
      n += Statistic::weight_of(rows[n]) > 0;
    }
    return sum >= int64_t{1} << 31 ? -1 : n;
  }

  void depth_first(int64_t n) {
    int64_t waiting = 0;
    queue[waiting++] = {0, n, 0, -1, false, 0, {}};
    while (waiting > 0) {
      const Waiting here = queue[--waiting];
      const int64_t node = add_node(here);
      Split split;
      if (!choose(here, node, split)) continue;
      if (!reserve()) return;
      const int64_t n_left = divide(here, node, split);
      const int32_t parent = static_cast<int32_t>(node), depth = here.depth + 1;
      queue[waiting++] = {here.start + n_left, here.n - n_left, depth, parent, false, 0, {}};
      queue[waiting++] = {here.start, n_left, depth, parent, true, 0, {}};
    }
  }

  // The queue is a heap: the largest gain on top, of equal ones the older node.
  void best_first(int64_t n) {
    int64_t waiting = 0, leaves = 1;
    const auto before = [&](int64_t i, int64_t j) {
      const double a = rounded_gain(queue[i].gain), b = rounded_gain(queue[j].gain);
      return a > b || (a == b && queue[i].node < queue[j].node);
    };
    const auto swap = [&](int64_t i, int64_t j) {
      const Waiting kept = queue[i];
      queue[i] = queue[j];
      queue[j] = kept;
    };
    const auto open = [&](Waiting w) {
      const int64_t node = add_node(w);
      if (!choose(w, node, w.split)) return;
      w.node = static_cast<int32_t>(node);
      w.gain = k.gain[tree * k.capacity + node];
      k.gain[tree * k.capacity + node] = 0;  // until it is split
      queue[waiting] = w;
      for (int64_t i = waiting++; i > 0 && before(i, (i - 1) / 2); i = (i - 1) / 2) swap(i, (i - 1) / 2);
    };
    open({0, n, 0, -1, false, 0, {}});
    for (; waiting > 0 && leaves < k.max_leaf_nodes; ++leaves) {
      if (!reserve()) return;
      const Waiting here = queue[0];
      queue[0] = queue[--waiting];
      for (int64_t i = 0;;) {
        int64_t top = i;
        for (int64_t child = 2 * i + 1; child <= 2 * i + 2 && child < waiting; ++child)
          if (before(child, top)) top = child;
        if (top == i) break;
        swap(i, top);
        i = top;
      }
      k.gain[tree * k.capacity + here.node] = here.gain;
      const int64_t n_left = divide(here, here.node, here.split);
      open({here.start, n_left, here.depth + 1, here.node, true, 0, {}});
      open({here.start + n_left, here.n - n_left, here.depth + 1, here.node, false, 0, {}});
    }
  }

  // Room for two more nodes, if there is any.
  bool reserve() {
    full = reserved + 2 > k.capacity;
    reserved += 2;
    return !full;
  }

  // The next node, as a leaf.
  int64_t add_node(const Waiting& w) {
    const int64_t first = tree * k.capacity, node = nodes++, i = first + node;
    if (w.node >= 0) (w.left ? k.left : k.right)[first + w.node] = static_cast<int32_t>(node);
    statistic.node(rows + w.start, w.n, k.value + i * (k.classes ? k.classes : 1));
    k.feature[i] = k.left[i] = k.right[i] = -1;
    k.threshold[i] = NAN;
    k.missing_left[i] = 0;
    k.gain[i] = 0;
    k.cover[i] = statistic.weight;
    k.count[i] = w.n;
    if (node == 0) total = statistic.weight;
    return node;
  }

  // Whether to split the node that was added last, and where.
  bool choose(const Waiting& w, int64_t node, Split& split) {
    if (statistic.pure || w.n < k.min_samples_split || w.n < 2 * k.min_samples_leaf) return false;
    if (k.max_depth >= 0 && w.depth >= k.max_depth) return false;
    if (statistic.weight < 2 * k.min_weight_leaf) return false;
    split.score = -INFINITY;
    split.feature = -1;
    look_at_features(rows + w.start, w.n, split);
    if (split.feature < 0) return false;
    double gain = statistic.gain(split.score);
    if (k.criterion == ForestCriterion::entropy) gain *= 1.4426950408889634;
    if (!(gain > 0)) gain = 0;
    if (gain / total + 2.220446049250313e-16 < k.min_impurity_decrease) return false;
    k.gain[tree * k.capacity + node] = gain;
    return true;
  }

  void look_at_features(const Row* r, int64_t n, Split& split) {
    const bool all = k.max_features >= k.features;
    int64_t seen = 0, constant = 0;
    for (int64_t i = 0; i < k.features && (seen < k.max_features || constant == seen); ++i, ++seen) {
      if (!all) {
        const int64_t j = i + draws.below(k.features - i);
        const int32_t kept = features[i];
        features[i] = features[j];
        features[j] = kept;
      }
      if (!(k.random_thresholds ? draw_threshold(features[i], r, n, split) : try_feature(features[i], r, n, split)))
        ++constant;
    }
  }

  // Adds the rows to bins and lists those in use, ascending; the number of them. The missing code's is not listed.
  int64_t fill(const Code* codes, const Row* r, int64_t n, int64_t n_bins) {
    const int64_t stride = statistic.stride();
    int64_t m = 0;
    if (n >= 2 * n_bins) {
      for (int64_t i = 0; i < n; ++i) statistic.add(bins, codes[r[i].row], r[i]);
      for (int64_t b = 0; b < n_bins; ++b) {
        present[m] = static_cast<int32_t>(b);
        m += statistic.holds(bins + b * stride);
      }
      return m;
    }
    for (int64_t i = 0; i < n; ++i) {
      const uint32_t code = codes[r[i].row];
      bits[code >> 6] |= uint64_t{1} << (code & 63);
      if constexpr (sizeof(Code) == 2) summary[code >> 12] |= uint64_t{1} << (code >> 6 & 63);
      statistic.add(bins, code, r[i]);
    }
    const auto list = [&](int64_t word) {
      for (uint64_t set = bits[word]; set; set &= set - 1)
        present[m++] = static_cast<int32_t>(word * 64 + __builtin_ctzll(set));
      bits[word] = 0;
    };
    if constexpr (sizeof(Code) == 1) {
      for (int64_t word = 0; word < 4; ++word) list(word);
    } else {
      for (int64_t s = 0; s < 16; ++s) {
        for (uint64_t set = summary[s]; set; set &= set - 1) list(s * 64 + __builtin_ctzll(set));
        summary[s] = 0;
      }
    }
    return m > 0 && present[m - 1] == kMissing ? m - 1 : m;
  }

  // The best split of one feature, if it is better than `split`; false when the feature is constant in the node.
  bool try_feature(int32_t feature, const Row* r, int64_t n, Split& split) {
    const int64_t first_bin = k.offsets[feature], n_bins = k.offsets[feature + 1] - first_bin;
    const int64_t stride = statistic.stride();
    const int64_t m = fill(column(feature), r, n, n_bins);
    Word* const missing = bins + kMissing * stride;
    const bool has_missing = statistic.holds(missing);
    const bool varies = m > 1 || (m == 1 && has_missing);
    if (varies) {
      const auto keep = [&](int64_t i, double score, bool missing_left) {
        split.score = score;
        split.feature = feature;
        split.missing_left = missing_left;
        split.has_missing = has_missing;
        split.code = present[i];
        split.threshold = i + 1 < m ? middle(first_bin + present[i], first_bin + present[i + 1]) : INFINITY;
      };
      scan_both(present, m, n, has_missing ? missing : nullptr, split.score, keep);
    }
    for (int64_t i = 0; i < m; ++i) clear(bins + present[i] * stride);
    clear(missing);
    return varies;
  }

  // One split of the feature at a random threshold.
  bool draw_threshold(int32_t feature, const Row* r, int64_t n, Split& split) {
    const Code* const codes = column(feature);
    const int64_t first_bin = k.offsets[feature], stride = statistic.stride();
    Code* const picked = reinterpret_cast<Code*>(spare);
    for (int64_t i = 0; i < n; ++i) picked[i] = codes[r[i].row];
    Code lowest = kMissing, highest = 0, last = 0;  // last: counted from the missing code, which becomes 0
    for (int64_t i = 0; i < n; ++i) {
      const Code code = picked[i], from_missing = static_cast<Code>(code + 1);
      lowest = code < lowest ? code : lowest;
      highest = code > highest ? code : highest;
      last = from_missing > last ? from_missing : last;
    }
    const int64_t least = lowest, most = static_cast<int64_t>(last) - 1;
    const bool has_missing = highest == kMissing;
    if (most < 0 || (least == most && !has_missing)) return false;
    const bool varies = least < most;
    int64_t code = most;
    double threshold = INFINITY;
    if (varies) {
      const double* const high = k.high + first_bin;
      const double u = draws.word() * 0x1p-32;
      threshold = (1 - u) * k.low[first_bin + least] + u * high[most];
      int64_t below = least, above = most;  // the last bin that ends at or below the threshold, but not the last of all
      while (above - below > 1) {
        const int64_t half = (below + above) / 2;
        (high[half] <= threshold ? below : above) = half;
      }
      code = below;
      if (!(threshold >= high[code] && threshold < k.low[first_bin + code + 1])) threshold = high[code];
    }
    if (!has_missing) {  // the left side is all that a single split needs
      statistic.add_below(bins, picked, r, n, static_cast<Code>(code));
    } else {
      for (int64_t i = 0; i < n; ++i) {
        const int64_t c = picked[i];
        statistic.add(bins, c <= code ? 0 : c == kMissing ? 2 : 1, r[i]);
      }
    }
    const int32_t sides[2] = {0, 1};
    const auto keep = [&](int64_t i, double score, bool missing_left) {
      split = {score, threshold, feature, static_cast<int32_t>(code), missing_left, has_missing};
      if (varies && i == 1) {
        split.threshold = INFINITY;
        split.code = static_cast<int32_t>(most);
      }
    };
    scan_both(sides, varies ? 2 : 1, n, has_missing ? bins + 2 * stride : nullptr, split.score, keep);
    for (int64_t b = 0; b < 3; ++b) clear(bins + b * stride);
    return true;
  }

  // What a score must exceed to count as better than `best`: less is rounding, and the first of equal splits wins.
  EINKORN_INLINE double above(double best) const {
    if (best == -INFINITY) return best;
    const double gain = best - statistic.whole;
    return best + kTieOfGain * (gain > 0 ? gain : 0) + kTieOfScore * __builtin_fabs(best);
  }

  EINKORN_INLINE void clear(Word* bin) const {
    for (int64_t c = 0; c < statistic.stride(); ++c) bin[c] = 0;
  }

  // Scores of the splits after each of m bins, missing rows right, then left; keep(bin, score, missing left) the best.
  template <class Keep>
  EINKORN_INLINE void scan_both(const int32_t* used, int64_t m, int64_t n, const Word* missing, double best,
                                const Keep& keep) {
    for (int side = 0; side < (missing ? 2 : 1); ++side) {
      const int64_t splits = missing && side == 0 ? m : m - 1;
      statistic.scan(bins, used, splits, side ? missing : nullptr);
      const double weight = statistic.weight;
      if (k.criterion == ForestCriterion::gini || k.criterion == ForestCriterion::squared_error)
        for (int64_t i = 0; i < splits; ++i) at.score[i] = at.a[i] / at.w[i] + at.b[i] / (weight - at.w[i]);
      int64_t found = -1;
      double bar = above(best);
      for (int64_t i = 0; i < splits; ++i) {
        if (!(at.score[i] > bar)) continue;
        const double w = at.w[i], rest = weight - w;
        if (!(w > 0 && rest > 0) || w < k.min_weight_leaf || rest < k.min_weight_leaf) continue;
        if (at.n[i] < k.min_samples_leaf || n - at.n[i] < k.min_samples_leaf) continue;
        best = at.score[i];
        bar = above(best);
        found = i;
      }
      if (found >= 0) keep(found, best, side == 1);
    }
  }

  // Between two bins: no row of the lower one is above, every row of the upper one is.
  double middle(int64_t lower, int64_t upper) const {
    const double between = k.high[lower] * 0.5 + k.low[upper] * 0.5;
    return between < k.low[upper] && between >= k.high[lower] ? between : k.high[lower];
  }

  // Writes the split down and moves the rows apart; how many went left.
  int64_t divide(const Waiting& w, int64_t node, const Split& split) {
    const Code* const codes = column(split.feature);
    Row* const r = rows + w.start;
    // Codes to the left are at most `code`. Counted from the missing one, which then is 0, when it goes left too.
    const Code from = split.missing_left ? 1 : 0, last = static_cast<Code>(split.code + from);
    int64_t left = 0, right = 0;
    for (int64_t i = 0; i < w.n; ++i) {
      const Row row = r[i];
      const bool goes_left = static_cast<Code>(codes[row.row] + from) <= last;
      r[left] = row;
      spare[right] = row;
      left += goes_left;
      right += !goes_left;
    }
    memcpy(r + left, spare, static_cast<size_t>(right) * sizeof(Row));
    const int64_t i = tree * k.capacity + node;
    k.feature[i] = split.feature;
    k.threshold[i] = split.threshold;
    k.missing_left[i] = split.has_missing ? split.missing_left : left > right;
    return left;
  }
};

template <class Code>
bool codes_in_range(const GrowForest& k) {
  bool fine = true;
  parallel_for(k.ws, k.features, static_cast<double>(k.rows) * 0.1, [&](int64_t f, int) {
    const Code* const codes = static_cast<const Code*>(k.codes) + f * k.rows;
    const int64_t n_bins = k.offsets[f + 1] - k.offsets[f];
    Code most = 0;  // counted from the missing code, which becomes 0
    for (int64_t r = 0; r < k.rows; ++r) {
      const Code code = static_cast<Code>(codes[r] + 1);
      most = code > most ? code : most;
    }
    if (most > n_bins) __atomic_store_n(&fine, false, __ATOMIC_RELAXED);
  });
  return fine;
}

template <class Code, class Statistic>
void grow_trees(const GrowForest& k) {
  if (!codes_in_range<Code>(k)) {
    for (int64_t t = 0; t < k.trees; ++t) k.node_count[t] = kCodeOutOfRange;
    return;
  }
  const auto parts = carve<GrowForestParts>(k).trees;
  const double cost = static_cast<double>(k.rows) * static_cast<double>(k.max_features) * 20;
  parallel_for(k.ws, k.trees, cost,
               [&](int64_t tree, int slot) { Grower<Code, Statistic>(k, tree, parts[slot]).grow(); });
}

template <class Code>
void grow_codes(const GrowForest& k) {
  if (k.classes == 0)
    grow_trees<Code, Moments>(k);
  else if (weighted(k))
    grow_trees<Code, ClassWeights>(k);
  else if (k.classes == 2)
    grow_trees<Code, ClassCounts<2>>(k);
  else
    grow_trees<Code, ClassCounts<0>>(k);
}

}  // namespace

void grow_forest(const GrowForest& k) {
  if (k.code_bytes == 1)
    grow_codes<uint8_t>(k);
  else
    grow_codes<uint16_t>(k);
}

void bootstrap_counts(const BootstrapCounts& k) {
  constexpr int64_t kBlock = 512;
  parallel_for(k.ws, k.trees, static_cast<double>(k.draws + k.rows), [&](int64_t tree, int) {
    uint16_t* const counts = k.counts + tree * k.rows;
    memset(counts, 0, static_cast<size_t>(k.rows) * sizeof(uint16_t));
    alignas(kVectorBytes) uint32_t words[kBlock];
    for (int64_t first = 0; first < k.draws; first += kBlock) {
      const int64_t n = k.draws - first < kBlock ? k.draws - first : kBlock;
      philox(words, n, static_cast<uint64_t>(k.seeds[tree]), static_cast<uint64_t>(first) / 4);
      for (int64_t i = 0; i < n; ++i) {
        uint16_t& count = counts[static_cast<uint64_t>(words[i]) * static_cast<uint64_t>(k.rows) >> 32];
        count += count < 65535;
      }
    }
  });
}

}  // namespace einkorn::EINKORN_ISA
