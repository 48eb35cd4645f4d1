// A node of a tree, for a block of threads: its sums, the best split of a feature, its rows moved apart.
//
//   up to 256 rows    a thread a row: the first row of each code counts how many codes are below its own, and adds up the rows that share it
//   more              a thread has a code of its own and looks at every row, 256 codes at a time
//                     no atomics, rows in their order: the same sums every time
//   bins in use       | b0 | b1 | b2 | ...     running sums over them, then a thread a split; of those that tie with the best the first
//   rows              [ 7 2 9 4 1 8 ] -> [ 2 4 1 | 7 9 8 ]      by how many rows before them go left
//
// Statistics and their scores are those of tree_statistics.h; whole counts are kept in double, which holds them exactly.

#pragma once

#include <math.h>

#include "kernels/cuda_group.h"
#include "kernels/tree/tree_forest.h"
#include "kernels/tree/tree_moments.h"
#include "kernels/tree/tree_split.h"

namespace einkorn::cuda {

// Splits whose gains, or scores, differ by no more than this part of them are equal.
constexpr double kTieOfGain = 1e-9;
constexpr double kTieOfScore = 1e-13;

struct ForestRow {
  int32_t row, label;
  double weight;
};

struct Split {
  double score;
  double threshold;
  int32_t feature;
  int32_t code;  // the last one on the left
  int32_t missing_left;
  int32_t has_missing;
};

// A node whose rows wait: for a look at them (depth first) or for their split (best first).
struct Waiting {
  int64_t start, n;
  int32_t depth, node;  // node: the parent, or the node itself
  int64_t left;         // whole words throughout: a copy reads no gaps that nobody wrote
  double gain;
  Split split;
};

struct CodeRange {
  int64_t least, most;
  bool has_missing;
};

// What a block needs to grow a tree, in the device's memory; words of a bin lie together.
struct TreeMemory {
  ForestRow* rows;
  ForestRow* spare;
  double* bins;
  double* missing;
  double* score;
  double* totals;
  int32_t* present;
  int32_t* features;
  Waiting* queue;
  int64_t bytes = 0;  // of a tree

  TreeMemory(Carver& c, const GrowForest& k) {
    const int64_t room = k.max_bins > 3 ? k.max_bins : 3, words = k.classes > 0 ? k.classes + 1 : 3;
    rows = c.take<ForestRow>(k.rows);
    spare = c.take<ForestRow>(k.rows);
    bins = c.take<double>(room * words);
    missing = c.take<double>(words);
    score = c.take<double>(room);
    totals = c.take<double>(k.classes);
    present = c.take<int32_t>(room);
    features = c.take<int32_t>(k.features);
    queue = c.take<Waiting>((k.max_leaf_nodes > 0 && k.max_leaf_nodes < k.rows ? k.max_leaf_nodes : k.rows) + 2);
  }

  __device__ TreeMemory of(int64_t slot) const {
    TreeMemory own = *this;
    const auto move = [&](auto*& part) {
      part = reinterpret_cast<std::remove_reference_t<decltype(part)>>(reinterpret_cast<char*>(part) + slot * bytes);
    };
    move(own.rows);
    move(own.spare);
    move(own.bins);
    move(own.missing);
    move(own.score);
    move(own.totals);
    move(own.present);
    move(own.features);
    move(own.queue);
    return own;
  }
};

// In shared memory: the rows that all threads look at, and what they tell each other.
struct NodeShared {
  double first[kBlock], second[kBlock];
  int32_t code[kBlock], label[kBlock], is_first[kBlock];
  double sums[kBlock / kWarp];
  int of_warps[kBlock / kWarp];
  int64_t number;
};

// v and those of the threads before.
__device__ __forceinline__ double running_sum(double v, double* of_warps) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  for (int distance = 1; distance < kWarp; distance *= 2) {
    const double other = __shfl_up_sync(0xffffffffu, v, distance);
    if (lane >= distance) v += other;
  }
  if (lane == kWarp - 1) of_warps[warp] = v;
  __syncthreads();
  double before = 0;
  for (int w = 0; w < warp; ++w) before += of_warps[w];
  __syncthreads();
  return before + v;
}

// No product here goes into an addition unrounded, so that equal splits tie.
__device__ __forceinline__ double entropy_term(double x, double sum) {
  return x > 0 ? __dmul_rn(x, ::log(x / sum)) : 0;
}

// What is left of a split: its score, the weight and the rows on the left.
struct LeftSide {
  double score, weight, rows;
};

// Class weights: a word for each class, and one for the number of rows.
struct Classes {
  const GrowForest& k;
  const TreeMemory& m;
  double weight = 0;
  double whole = 0;  // G(node)
  bool pure = false;

  __device__ Classes(const GrowForest& args, const TreeMemory& memory) : k(args), m(memory) {}

  __device__ int64_t stride() const { return k.classes + 1; }

  __device__ static ForestRow make(const GrowForest& k, int64_t tree, int64_t row, int64_t times) {
    const auto label = static_cast<int32_t>(k.target[row]);
    const double weight = (k.weight != nullptr ? k.weight[row] : 1.0) * static_cast<double>(times);
    return {static_cast<int32_t>(row), label,
            k.class_weight != nullptr ? weight * k.class_weight[tree * k.classes + label] : weight};
  }

  __device__ void load(NodeShared& s, int t, const ForestRow& row) const {
    s.first[t] = row.weight;
    s.label[t] = row.label;
  }

  __device__ void add(double* words, const NodeShared& s, int i) const {
    words[s.label[i]] += s.first[i];
    words[k.classes] += 1;
  }

  __device__ void begin(NodeShared& s, const ForestRow* rows, int64_t n, double* value) {
    const int t = static_cast<int>(threadIdx.x);
    for (int64_t first = 0; first < k.classes; first += kBlock) {
      double sum = 0;
      for (int64_t begin = 0; begin < n; begin += kBlock) {
        if (begin + t < n) load(s, t, rows[begin + t]);
        __syncthreads();
        for (int i = 0; i < kBlock && begin + i < n; ++i) sum += s.label[i] == first + t ? s.first[i] : 0;
        __syncthreads();
      }
      if (first + t < k.classes) m.totals[first + t] = sum;
    }
    __syncthreads();
    weight = 0;
    double squares = 0;
    for (int64_t c = 0; c < k.classes; ++c) weight += m.totals[c];
    pure = false;
    whole = 0;
    for (int64_t c = 0; c < k.classes; ++c) {
      const double here = m.totals[c];
      squares += here * here;
      pure |= here == weight;
      if (k.criterion == ForestCriterion::entropy) whole += entropy_term(here, weight);
    }
    if (k.criterion == ForestCriterion::gini) whole = squares / weight;
    for (int64_t c = t; c < k.classes; c += kBlock) value[c] = m.totals[c] / weight;
  }

  __device__ double gain(double score) const { return score - whole; }

  __device__ LeftSide left_side(const double* words, const double* missing) const {
    double a = 0, b = 0, w = 0;
    const auto at = [&](int64_t c) { return words[c] + (missing != nullptr ? missing[c] : 0); };
    for (int64_t c = 0; c < k.classes; ++c) w += at(c);
    const double rest = weight - w;
    for (int64_t c = 0; c < k.classes; ++c) {
      const double l = at(c), r = m.totals[c] - l;
      a += k.criterion == ForestCriterion::gini ? l * l : entropy_term(l, w);
      b += k.criterion == ForestCriterion::gini ? r * r : entropy_term(r, rest);
    }
    return {k.criterion == ForestCriterion::gini ? a / w + b / rest : a + b, w, at(k.classes)};
  }
};

// Regression: sums of weight and of weight * (target - centre), and the number of rows. Centre and unit are those of tree_moments.h.
struct Moments {
  const GrowForest& k;
  double weight = 0;
  double sum = 0;
  double centre = 0;
  double mean = 0;
  double unit = 1;
  double whole = 0;
  bool pure = false;

  __device__ Moments(const GrowForest& args, const TreeMemory&) : k(args) {}

  __device__ int64_t stride() const { return 3; }

  __device__ static ForestRow make(const GrowForest& k, int64_t, int64_t row, int64_t times) {
    return {static_cast<int32_t>(row), 0, (k.weight != nullptr ? k.weight[row] : 1.0) * static_cast<double>(times)};
  }

  __device__ void load(NodeShared& s, int t, const ForestRow& row) const {
    s.first[t] = row.weight;
    s.second[t] = row.weight * (k.target[row.row] - centre);
  }

  __device__ void add(double* words, const NodeShared& s, int i) const {
    words[0] += s.first[i];
    words[1] += s.second[i];
    words[2] += 1;
  }

  __device__ void begin(NodeShared&, const ForestRow* rows, int64_t n, double* value) {
    const double first = k.target[rows[0].row];
    double least = first, most = first, w = 0, s = 0;
    for (int64_t i = threadIdx.x; i < n; i += kBlock) {
      const double y = k.target[rows[i].row];
      w += rows[i].weight;
      s += rows[i].weight * (y - first);
      least = y < least ? y : least;
      most = y > most ? y : most;
    }
    weight = summed<kBlock>(w);
    sum = summed<kBlock>(s);
    most = largest(most);
    least = -largest(-least);
    pure = least == most;
    const bool leads = threadIdx.x == 0;
    if (pure) {
      if (leads) value[0] = least;
      return;
    }
    centre = centre_of(first + sum / weight, least, most, k.criterion == ForestCriterion::poisson);
    s = 0;
    for (int64_t i = threadIdx.x; i < n; i += kBlock) s += rows[i].weight * (k.target[rows[i].row] - centre);
    sum = summed<kBlock>(s);
    mean = centre + sum / weight;
    mean = mean < least ? least : (mean > most ? most : mean);
    if (leads) value[0] = mean;
    unit = unit_of(most - least, weight);
    whole = k.criterion == ForestCriterion::squared_error ? (sum * unit) * (sum * unit) / weight : 0;
  }

  // The gain in its own unit.
  __device__ double gain(double score) const {
    return natural_gain(score - whole, unit, k.criterion == ForestCriterion::squared_error);
  }

  __device__ LeftSide left_side(const double* words, const double* missing) const {
    const bool moved = missing != nullptr;
    const double w = words[0] + (moved ? missing[0] : 0), s = words[1] + (moved ? missing[1] : 0);
    const double rows = words[2] + (moved ? missing[2] : 0), left = s * unit, rest = (sum - s) * unit;
    if (k.criterion == ForestCriterion::squared_error) return {left * left / w + rest * rest / (weight - w), w, rows};
    return {poisson(s, w) + poisson(sum - s, weight - w), w, rows};
  }

 private:
  __device__ static double largest(double v) {
    return fold_group<kBlock>(
        v, [](double a, double b) { return larger(a, b); }, [](double a, int d) { return shuffle_xor(a, d); });
  }

  __device__ double poisson(double s, double w) const {
    if (centre == 0 && !(s > 0)) return -INFINITY;
    const double t = (centre == 0 ? s / w - mean : s / w - sum / weight) / mean;
    return __dmul_rn(poisson_term(t), w * mean);
  }
};

template <class Code, class Statistic>
struct Node {
  static constexpr Code kMissing = static_cast<Code>(-1);

  const GrowForest& k;
  const TreeMemory& m;
  NodeShared& shared;
  Statistic& statistic;
  ForestRow* rows = nullptr;
  int64_t n = 0;
  int64_t used = 0;  // bins with rows
  bool dense = false, has_missing = false;

  __device__ Node(const GrowForest& args, const TreeMemory& memory, NodeShared& shared_, Statistic& statistic_)
      : k(args), m(memory), shared(shared_), statistic(statistic_) {}

  __device__ const Code* column(int64_t feature) const { return static_cast<const Code*>(k.codes) + feature * k.rows; }

  __device__ void begin(int64_t start, int64_t count, double* value) {
    rows = m.rows + start;
    n = count;
    statistic.begin(shared, rows, n, value);
    __syncthreads();
  }

  // The best split of one feature, if it is better than `split`; false when the feature is constant in the node.
  __device__ bool try_feature(int32_t feature, Split& split) {
    const Code* const codes = column(feature);
    const int64_t first_bin = k.offsets[feature], n_bins = k.offsets[feature + 1] - first_bin;
    fill(n_bins, [&](int64_t row) { return codes[row] == kMissing ? n_bins : static_cast<int64_t>(codes[row]); });
    if (!(used > 1 || (used == 1 && has_missing))) return false;
    scan(split.score, [&](int64_t i, double score, bool missing_left) {
      const int32_t code = m.present[i];
      const double threshold = i + 1 < used ? middle(first_bin + code, first_bin + m.present[i + 1]) : INFINITY;
      split = {score, threshold, feature, code, missing_left ? 1 : 0, has_missing ? 1 : 0};
    });
    return true;
  }

  // The codes that the node has of a feature.
  __device__ CodeRange range_of(int32_t feature) const {
    const Code* const codes = column(feature);
    int64_t least = kMissing, most = -1, missing = 0;
    for (int64_t i = threadIdx.x; i < n; i += kBlock) {
      const int64_t code = codes[rows[i].row];
      least = code < least ? code : least;
      most = code != kMissing && code > most ? code : most;
      missing |= code == kMissing ? 1 : 0;
    }
    const auto fold = [](int64_t v) {
      return fold_group<kBlock>(
          v, [](int64_t a, int64_t b) { return larger(a, b); }, [](int64_t a, int d) { return shuffle_xor(a, d); });
    };
    return {-fold(-least), fold(most), fold(missing) != 0};
  }

  // The split of the feature at the part u of the range of the node's values.
  __device__ void try_threshold(int32_t feature, const CodeRange& range, double u, Split& split) {
    const Code* const codes = column(feature);
    const int64_t first_bin = k.offsets[feature];
    const bool varies = range.least < range.most;
    int64_t code = range.most;
    double threshold = INFINITY;
    if (varies) {
      const double* const high = k.high + first_bin;
      threshold = (1 - u) * k.low[first_bin + range.least] + u * high[range.most];
      int64_t below = range.least, above = range.most;  // the last bin that ends at or below the threshold
      while (above - below > 1) {
        const int64_t half = (below + above) / 2;
        (high[half] <= threshold ? below : above) = half;
      }
      code = below;
      if (!(threshold >= high[code] && threshold < k.low[first_bin + code + 1])) threshold = high[code];
    }
    fill(2, [&](int64_t row) { return codes[row] == kMissing ? 2 : codes[row] <= code ? 0 : 1; });
    scan(split.score, [&](int64_t i, double score, bool missing_left) {
      split = {score, threshold, feature, static_cast<int32_t>(code), missing_left ? 1 : 0, range.has_missing ? 1 : 0};
      if (varies && i == 1) {
        split.threshold = INFINITY;
        split.code = static_cast<int32_t>(range.most);
      }
    });
  }

  // Moves the rows apart, each side in its order; how many went left.
  __device__ int64_t divide(int64_t start, int64_t count, const Split& split) {
    const Code* const codes = column(split.feature);
    ForestRow* const own = m.rows + start;
    // Codes to the left are at most `code`. Counted from the missing one, which then is 0, when it goes left too.
    const Code from = split.missing_left != 0 ? 1 : 0, last = static_cast<Code>(split.code + from);
    int64_t left = 0, right = 0;
    for (int64_t begin = 0; begin < count; begin += kBlock) {
      const int64_t i = begin + threadIdx.x;
      const bool live = i < count;
      ForestRow row = {};
      if (live) row = own[i];
      const bool goes_left = live && static_cast<Code>(codes[row.row] + from) <= last;
      int lefts;
      const int rank = rank_in_block(goes_left, shared.of_warps, lefts);
      if (goes_left) own[left + rank] = row;
      if (live && !goes_left) m.spare[right + static_cast<int>(threadIdx.x) - rank] = row;
      left += lefts;
      right += (count - begin < kBlock ? count - begin : kBlock) - lefts;
    }
    __syncthreads();
    for (int64_t i = threadIdx.x; i < right; i += kBlock) own[left + i] = m.spare[i];
    __syncthreads();
    return left;
  }

 private:
  // What a score must exceed to count as better than `best`: less is rounding, and the first of equal splits wins.
  __device__ double above(double best) const {
    if (best == -INFINITY) return best;
    const double gain = best - statistic.whole;
    return best + kTieOfGain * (gain > 0 ? gain : 0) + kTieOfScore * ::fabs(best);
  }

  // Between two bins: no row of the lower one is above, every row of the upper one is.
  __device__ double middle(int64_t lower, int64_t upper) const {
    const double between = k.high[lower] * 0.5 + k.low[upper] * 0.5;
    return between < k.low[upper] && between >= k.high[lower] ? between : k.high[lower];
  }

  __device__ double* words_of(int64_t i) const { return m.bins + (dense ? i : m.present[i]) * statistic.stride(); }

  template <class CodeOf>
  __device__ void load_rows(int64_t begin, const CodeOf& code_of) const {
    const int t = static_cast<int>(threadIdx.x);
    if (begin + t < n) {
      const ForestRow row = rows[begin + t];
      shared.code[t] = static_cast<int32_t>(code_of(row.row));
      statistic.load(shared, t, row);
    }
    __syncthreads();
  }

  __device__ void clear(double* words) const {
    for (int64_t w = 0; w < statistic.stride(); ++w) words[w] = 0;
  }

  // The sums of the bins in use; code_of(row) is n_bins for a missing value.
  template <class CodeOf>
  __device__ void fill(int64_t n_bins, const CodeOf& code_of) {
    used = 0;
    dense = n <= kBlock;
    if (dense)
      fill_from_few(static_cast<int32_t>(n_bins), code_of);
    else
      fill_from_many(n_bins, code_of);
    __syncthreads();
  }

  template <class CodeOf>
  __device__ void fill_from_few(int32_t n_bins, const CodeOf& code_of) {
    load_rows(0, code_of);
    const int t = static_cast<int>(threadIdx.x), count = static_cast<int>(n);
    const int32_t code = t < count ? shared.code[t] : n_bins;
    bool is_first = t < count;
    for (int j = 0; j < t && is_first; ++j) is_first = shared.code[j] != code;
    int bins, missing;
    (void)rank_in_block(is_first && code != n_bins, shared.of_warps, bins);
    (void)rank_in_block(t < count && code == n_bins, shared.of_warps, missing);
    used = bins;
    has_missing = missing > 0;
    // Codes below this one, each counted at its first row.
    shared.is_first[t] = is_first ? 1 : 0;
    __syncthreads();
    int below = 0;
    for (int j = 0; j < count && is_first; ++j) below += shared.code[j] < code ? shared.is_first[j] : 0;
    if (!is_first) return;
    double* const words = code == n_bins ? m.missing : m.bins + below * statistic.stride();
    clear(words);
    for (int j = t; j < count; ++j)
      if (shared.code[j] == code) statistic.add(words, shared, j);
    if (code != n_bins) m.present[below] = code;
  }

  template <class CodeOf>
  __device__ void fill_from_many(int64_t n_bins, const CodeOf& code_of) {
    for (int64_t first = 0; first <= n_bins; first += kBlock) {
      const int64_t bin = first + threadIdx.x;
      double* const words = bin < n_bins ? m.bins + bin * statistic.stride() : m.missing;
      if (bin <= n_bins) clear(words);
      for (int64_t begin = 0; begin < n; begin += kBlock) {
        load_rows(begin, code_of);
        for (int i = 0; i < kBlock && begin + i < n; ++i)
          if (shared.code[i] == bin) statistic.add(words, shared, i);
        __syncthreads();
      }
      int taken;
      const bool holds = bin < n_bins && words[statistic.stride() - 1] != 0;
      const int rank = rank_in_block(holds, shared.of_warps, taken);
      if (holds) m.present[used + rank] = static_cast<int32_t>(bin);
      used += taken;
    }
    __syncthreads();
    has_missing = m.missing[statistic.stride() - 1] != 0;
  }

  // keep(place among the bins, score, missing left) for the best split, if it is better than `best`: missing rows right, then left.
  template <class Keep>
  __device__ void scan(double best, const Keep& keep) {
    const int64_t stride = statistic.stride();
    for (int64_t begin = 0; begin < used; begin += kBlock) {
      const int64_t i = begin + threadIdx.x;
      for (int64_t w = 0; w < stride; ++w) {
        const double before = begin > 0 ? words_of(begin - 1)[w] : 0;
        const double sum = running_sum(i < used ? words_of(i)[w] : 0, shared.sums);
        if (i < used) words_of(i)[w] = before + sum;
      }
      __syncthreads();
    }
    for (int side = 0; side < (has_missing ? 2 : 1); ++side) {
      const int64_t splits = has_missing && side == 0 ? used : used - 1;
      const double bar = above(best);
      double top = -INFINITY;
      for (int64_t i = threadIdx.x; i < splits; i += kBlock) {
        const LeftSide left = statistic.left_side(words_of(i), side == 0 ? nullptr : m.missing);
        const double w = left.weight, rest = statistic.weight - w;
        const bool counts = w > 0 && rest > 0 && w >= k.min_weight_leaf && rest >= k.min_weight_leaf &&
                            left.rows >= static_cast<double>(k.min_samples_leaf) &&
                            static_cast<double>(n) - left.rows >= static_cast<double>(k.min_samples_leaf);
        m.score[i] = counts ? left.score : -INFINITY;
        top = larger(m.score[i], top);
      }
      top = fold_group<kBlock>(
          top, [](double a, double b) { return larger(a, b); }, [](double a, int d) { return shuffle_xor(a, d); });
      if (!(top > bar)) continue;
      int64_t found = INT64_MAX;
      for (int64_t i = threadIdx.x; i < splits && found == INT64_MAX; i += kBlock)
        if (m.score[i] > bar && !(top > above(m.score[i]))) found = i;
      found = fold_group<kBlock>(
          found, [](int64_t a, int64_t b) { return a < b ? a : b; },
          [](int64_t a, int d) { return shuffle_xor(a, d); });
      best = m.score[found];
      __syncthreads();
      keep(found, best, side == 1);
    }
  }
};

}  // namespace einkorn::cuda
