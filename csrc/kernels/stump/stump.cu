// The best split of a stump on the GPU: a thread walks a piece of a feature's rows in order, or of its bins.
//
//   items    rows in order, or bins; what an item adds to the left: its weight to its class, or for two classes (w, |w|) to (S, W)
//   pieces   | sum | sum | sum | ... | missing |       a thread each; the features, and once more all rows, for the totals
//   before   | 0   | sum | sum2| ...                   running sums of the pieces, a thread a feature and class
//   best     each thread walks its piece again, from what is before it, and keeps its best split, of equal ones the first
//   choose   a block a feature: the first of the pieces' bests that tie with the best; then one thread compares the features in their order,
//            and walks to the split once more for the sums of its sides
//
// Bins are summed first: a thread has a bin of its own and looks at every row of its block, so that there are no atomics and the order is fixed.
// All sums are of float32 in double, and exact as the CPU's are.
//
// Roofline: 8 bytes a row and feature, twice, the weights at random places of L2: 1,000,000 x 28 0.45 GB and 1.8 GB of sectors from L2, 0.5 ms.
// Binned: some 4 cycles a row, feature and block of 256 bins: 1,000,000 x 28 in 1,700 blocks on 132 SMs at 5 each, 0.2 ms.
// Plan: sum_pieces, best_of_pieces, sum_codes: 64 registers, 4 blocks of 256 threads an SM

#include <math.h>

#include "kernels/cuda_group.h"
#include "kernels/stump/stump.h"

namespace einkorn::cuda {

namespace {

constexpr double kTieOfStumps = 1e-12;
constexpr int64_t kMostPieces = 2048, kLeastItems = 64, kMostParts = int64_t{64} << 20;  // the last: bytes
constexpr int32_t kRow = 0x7fffffff;

__device__ __forceinline__ double x_log_x(double x) {
  return x > 0 ? x * ::log(x) : 0.0;
}

// left += the weight of a row.
__device__ __forceinline__ void add_row(double* left, int64_t classes, const float* weights, const int32_t* target,
                                        int64_t row) {
  const double weight = weights[row];
  if (classes == 2) {
    left[0] += weight;
    left[1] += ::fabs(weight);
  } else {
    left[target[row]] += weight;
  }
}

// Items that are rows in order. Feature number `features` is all rows, where no split is.
struct Ordered {
  StumpSearch k;

  __device__ int64_t items(int64_t f) const { return f < k.features ? k.rows - k.missing[f] : k.rows; }
  __device__ int64_t missing_items(int64_t f) const { return f < k.features ? k.missing[f] : 0; }
  __device__ void add(double* left, int64_t f, int64_t i) const {
    add_row(left, k.classes, k.weights, k.target, f < k.features ? k.order[f * k.rows + i] & kRow : i);
  }
  __device__ void add_missing(double* left, int64_t f, int64_t i) const { add(left, f, items(f) + i); }
  __device__ bool may_split(int64_t f, int64_t i) const { return k.order[f * k.rows + i] < 0; }
};

// Items that are bins, whose sums are in [features, most_bins + 1, classes]; missing values have the last one.
struct Binned {
  StumpSearchBinned k;
  const double* sums;

  __device__ int64_t items(int64_t f) const { return f < k.features ? k.bins[f] : k.rows; }
  __device__ int64_t missing_items(int64_t f) const { return f < k.features ? 1 : 0; }
  __device__ void add(double* left, int64_t f, int64_t i) const {
    if (f == k.features) return add_row(left, k.classes, k.weights, k.target, i);
    const double* const bin = sums + (f * (k.most_bins + 1) + i) * k.classes;
    for (int64_t c = 0; c < k.classes; ++c) left[c] += bin[c];
  }
  __device__ void add_missing(double* left, int64_t f, int64_t) const { add(left, f, k.most_bins); }
  __device__ bool may_split(int64_t, int64_t) const { return true; }
};

// The sums of the left side, of pieces of `each` items. part [features + 1, pieces + 1, classes]: the last piece is the missing items.
struct Pieces {
  double* part;
  double* total;  // [classes + 1], the weight of all last
  int64_t pieces, each;

  __device__ double* of(int64_t f, int64_t piece, int64_t classes) const {
    return part + (f * (pieces + 1) + piece) * classes;
  }
};

struct BestSplit {
  double score[2];  // missing rows on the right, on the left
  int64_t place[2];
};

// What a walk adds to: two classes in registers, any number in the piece's own place.
struct TwoSums {
  double sum[2];
  __device__ explicit TwoSums(const double* from) : sum{from[0], from[1]} {}
  __device__ double* get() { return sum; }
  __device__ void keep(double* to) const {
    to[0] = sum[0];
    to[1] = sum[1];
  }
};
struct ManySums {
  double* sum;
  __device__ explicit ManySums(double* from) : sum(from) {}
  __device__ double* get() { return sum; }
  __device__ void keep(double*) const {}
};

template <class Sums, class Items>
__global__ void __launch_bounds__(kBlock) sum_pieces(Items items, Pieces p) {
  const int64_t classes = items.k.classes;
  grid_stride((items.k.features + 1) * (p.pieces + 1), [&](int64_t task) {
    const int64_t f = quotient(task, p.pieces + 1), piece = task - f * (p.pieces + 1);
    double* const place = p.of(f, piece, classes);
    for (int64_t c = 0; c < classes; ++c) place[c] = 0;
    Sums sum(place);
    if (piece == p.pieces) {
      for (int64_t i = 0; i < items.missing_items(f); ++i) items.add_missing(sum.get(), f, i);
    } else {
      const int64_t n = items.items(f), begin = piece * p.each, end = begin + p.each < n ? begin + p.each : n;
      for (int64_t i = begin; i < end; ++i) items.add(sum.get(), f, i);
    }
    sum.keep(place);
  });
}

template <class Items>
__global__ void __launch_bounds__(kBlock) sums_before(Items items, Pieces p) {
  const int64_t classes = items.k.classes;
  grid_stride((items.k.features + 1) * classes, [&](int64_t task) {
    const int64_t f = quotient(task, classes), c = task - f * classes;
    double before = 0;
    for (int64_t piece = 0; piece < p.pieces; ++piece) {
      double& place = p.of(f, piece, classes)[c];
      const double here = place;
      place = before;
      before += here;
    }
    if (f == items.k.features) p.total[c] = before;
  });
}

__global__ void weight_of_all(Pieces p, int64_t classes) {
  if (threadIdx.x != 0) return;
  double weight = 0;
  for (int64_t c = 0; c < classes; ++c) weight += p.total[c];
  p.total[classes] = classes == 2 ? p.total[1] : weight;
}

// The score of a split with these sums on the left, and the missing ones with them; below any other where a side is empty.
__device__ __forceinline__ double score_of(const double* left, const double* missing, const double* total,
                                           int64_t classes, StumpCriterion criterion) {
  if (classes == 2) {
    const double sl = left[0] + (missing != nullptr ? missing[0] : 0), sr = total[0] - sl;
    const double wl = left[1] + (missing != nullptr ? missing[1] : 0), wr = total[1] - wl, both = wl * wr;
    if (!(both > 0 && wl > 0)) return -INFINITY;
    if (criterion == StumpCriterion::gini) return (sl * sl * wr + sr * sr * wl) / both;
    if (criterion == StumpCriterion::error) return ::fabs(sl) + ::fabs(sr);
    return x_log_x((wl + sl) / 2) + x_log_x((wl - sl) / 2) - x_log_x(wl) +
           (x_log_x((wr + sr) / 2) + x_log_x((wr - sr) / 2) - x_log_x(wr));
  }
  double wl = 0, wr = 0, gl = 0, gr = 0;
  for (int64_t c = 0; c < classes; ++c) {
    const double l = left[c] + (missing != nullptr ? missing[c] : 0), r = total[c] - l;
    wl += l;
    wr += r;
    if (criterion == StumpCriterion::gini) {
      gl += l * l;
      gr += r * r;
    } else if (criterion == StumpCriterion::entropy) {
      gl += x_log_x(l);
      gr += x_log_x(r);
    } else {
      gl = l > gl ? l : gl;
      gr = r > gr ? r : gr;
    }
  }
  if (!(wl > 0 && wr > 0)) return -INFINITY;
  if (criterion == StumpCriterion::gini) return gl / wl + gr / wr;
  if (criterion == StumpCriterion::entropy) return gl - x_log_x(wl) + (gr - x_log_x(wr));
  return gl + gr;
}

template <class Sums, class Items>
__global__ void __launch_bounds__(kBlock) best_of_pieces(Items items, Pieces p, BestSplit* bests) {
  const int64_t classes = items.k.classes;
  grid_stride(items.k.features * p.pieces, [&](int64_t task) {
    const int64_t f = quotient(task, p.pieces), piece = task - f * p.pieces;
    const double* const missing = p.of(f, p.pieces, classes);
    const double tie = kTieOfStumps * p.total[classes];
    bool any_missing = false;
    for (int64_t c = 0; c < classes; ++c) any_missing |= missing[c] != 0;
    Sums left(p.of(f, piece, classes));
    BestSplit best = {{-INFINITY, -INFINITY}, {-1, -1}};
    const auto look = [&](int side, const double* moved, int64_t i) {
      const double here = score_of(left.get(), moved, p.total, classes, items.k.criterion);
      if (!(here > best.score[side] + tie)) return;
      best.score[side] = here;
      best.place[side] = i;
    };
    const int64_t n = items.items(f), begin = piece * p.each, end = begin + p.each < n ? begin + p.each : n;
    for (int64_t i = begin; i < end; ++i) {
      items.add(left.get(), f, i);
      if (!items.may_split(f, i)) continue;
      look(0, nullptr, i);
      if (any_missing) look(1, missing, i);
    }
    left.keep(p.of(f, piece, classes));
    bests[task] = best;
  });
}

// The first of a feature's pieces that tie with the best, into its first piece: with missing rows on the right, unless those on the left gain.
template <int>
__global__ void __launch_bounds__(kBlock)
    best_of_features(BestSplit* bests, Pieces p, int64_t features, int64_t classes) {
  const double tie = kTieOfStumps * p.total[classes];
  for (int64_t f = blockIdx.x; f < features; f += gridDim.x) {
    BestSplit* const own = bests + f * p.pieces;
    BestSplit found;
    for (int side = 0; side < 2; ++side) {
      double top = -INFINITY;
      for (int64_t i = threadIdx.x; i < p.pieces; i += kBlock) top = larger(own[i].score[side], top);
      top = fold_group<kBlock>(
          top, [](double a, double b) { return larger(a, b); }, [](double a, int d) { return shuffle_xor(a, d); });
      int64_t first = INT64_MAX;
      for (int64_t i = threadIdx.x; i < p.pieces; i += kBlock)
        if (own[i].place[side] >= 0 && own[i].score[side] >= top - tie && own[i].place[side] < first)
          first = own[i].place[side];
      first = fold_group<kBlock>(
          first, [](int64_t a, int64_t b) { return a < b ? a : b; },
          [](int64_t a, int d) { return shuffle_xor(a, d); });
      found.place[side] = first == INT64_MAX ? -1 : first;
      found.score[side] = first == INT64_MAX ? -INFINITY : own[first / p.each].score[side];
    }
    __syncthreads();
    if (threadIdx.x == 0) own[0] = found;
    __syncthreads();
  }
}

template <class Items>
__global__ void choose_split(Items items, Pieces p, const BestSplit* bests) {
  if (threadIdx.x != 0) return;
  const int64_t classes = items.k.classes;
  const double tie = kTieOfStumps * p.total[classes];
  double best = 0;
  int64_t feature = -1, place = -1;
  int left_side = 0;
  for (int64_t f = 0; f < items.k.features && p.pieces > 0; ++f) {
    const BestSplit& found = bests[f * p.pieces];
    const int side = found.place[1] >= 0 && (found.place[0] < 0 || found.score[1] > found.score[0] + tie) ? 1 : 0;
    if (found.place[side] < 0 || (feature >= 0 && !(found.score[side] > best + tie))) continue;
    best = found.score[side];
    feature = f;
    place = found.place[side];
    left_side = side;
  }
  items.k.place[0] = feature;
  items.k.place[1] = place;
  items.k.place[2] = left_side;
  double* const left = items.k.sums;
  double* const right = left + classes;
  for (int64_t c = 0; c < classes; ++c) left[c] = 0;
  if (feature >= 0) {
    const int64_t piece = place / p.each;
    // A piece's place now has the sums up to its end.
    for (int64_t c = 0; c < classes && piece > 0; ++c) left[c] = p.of(feature, piece - 1, classes)[c];
    for (int64_t i = piece * p.each; i <= place; ++i) items.add(left, feature, i);
    for (int64_t c = 0; c < classes && left_side != 0; ++c) left[c] += p.of(feature, p.pieces, classes)[c];
  }
  for (int64_t c = 0; c < classes; ++c) right[c] = p.total[c] - left[c];
  if (classes != 2) return;
  for (int side = 0; side < 4; side += 2) {
    const double s = left[side], w = left[side + 1];
    left[side] = (w - s) / 2;
    left[side + 1] = (w + s) / 2;
  }
}

template <class Sums, class Items>
void search(const char* name, const Items& items, int64_t most_items) {
  const int64_t features = items.k.features, classes = items.k.classes;
  const int64_t shared = pieces_of(most_items, kMostPieces), each = shared > kLeastItems ? shared : kLeastItems;
  const int64_t pieces = pieces_of(most_items, each);
  const StreamScratch memory(static_cast<size_t>(((features + 1) * (pieces + 1) * classes + classes + 1)) *
                             sizeof(double));
  const StreamScratch of_pieces(static_cast<size_t>(features * pieces) * sizeof(BestSplit));
  BestSplit* const bests = of_pieces.as<BestSplit>();
  double* const total = memory.as<double>();
  const Pieces p = {total + classes + 1, total, pieces, each};
  launch_over(name, sum_pieces<Sums, Items>, (features + 1) * (pieces + 1), items, p);
  launch_over(name, sums_before<Items>, (features + 1) * classes, items, p);
  launch(name, weight_of_all, 1, 32, 0, p, classes);
  launch_over(name, best_of_pieces<Sums, Items>, features * pieces, items, p, bests);
  if (features * pieces > 0)
    launch(name, best_of_features<0>, blocks_for(features), kBlock, 0, bests, p, features, classes);
  launch(name, choose_split<Items>, 1, 32, 0, items, p, bests);
}

template <class Items>
void search_any(const char* name, const Items& items, int64_t most_items) {
  items.k.classes == 2 ? search<TwoSums>(name, items, most_items) : search<ManySums>(name, items, most_items);
}

// Sums of the codes, a block a feature and `each` rows.
template <class Code>
__global__ void __launch_bounds__(kBlock) sum_codes(StumpSearchBinned k, double* sums, int64_t blocks, int64_t each) {
  __shared__ int32_t codes[kBlock], labels[kBlock];
  __shared__ float weights[kBlock];
  const int t = static_cast<int>(threadIdx.x);
  for (int64_t task = blockIdx.x; task < k.features * blocks; task += gridDim.x) {
    const int64_t f = quotient(task, blocks), begin = (task - f * blocks) * each;
    const int64_t end = begin + each < k.rows ? begin + each : k.rows;
    double* const of_task = sums + task * (k.most_bins + 1) * k.classes;
    for (int64_t first_bin = 0; first_bin <= k.most_bins; first_bin += kBlock) {
      const int64_t bin = first_bin + t, code = bin == k.most_bins ? k.missing_code : bin;
      const bool has_bin = bin < k.bins[f] || bin == k.most_bins;
      double* const own = of_task + bin * k.classes;
      for (int64_t c = 0; c < k.classes && bin <= k.most_bins; ++c) own[c] = 0;
      double s = 0, w = 0;
      for (int64_t first = begin; first < end; first += kBlock) {
        if (first + t < end) {
          codes[t] = static_cast<const Code*>(k.codes)[f * k.rows + first + t];
          weights[t] = k.weights[first + t];
          labels[t] = k.classes != 2 ? k.target[first + t] : 0;
        }
        __syncthreads();
        const int size = static_cast<int>(end - first < kBlock ? end - first : kBlock);
        for (int i = 0; i < size && has_bin; ++i) {
          if (codes[i] != code) continue;
          const double weight = weights[i];
          if (k.classes != 2) own[labels[i]] += weight;
          s += weight;
          w += ::fabs(weight);
        }
        __syncthreads();
      }
      if (k.classes != 2 || bin > k.most_bins) continue;
      own[0] = s;
      own[1] = w;
    }
  }
}

// The blocks' sums, in order.
template <int>
__global__ void __launch_bounds__(kBlock)
    add_blocks(double* out, const double* sums, int64_t features, int64_t blocks, int64_t size) {
  grid_stride(features * size, [&](int64_t at) {
    const int64_t f = quotient(at, size);
    double sum = 0;
    for (int64_t block = 0; block < blocks; ++block) sum += sums[(f * blocks + block) * size + (at - f * size)];
    out[at] = sum;
  });
}

}  // namespace

void stump_search(const StumpSearch& k) {
  search_any("stump_search", Ordered{k}, k.rows);
}

void stump_search_binned(const StumpSearchBinned& k) {
  const char* const name = "stump_search_binned";
  const int64_t size = (k.most_bins + 1) * k.classes, bytes = k.features * size * static_cast<int64_t>(sizeof(double));
  const int64_t fit = bytes > 0 ? kMostParts / bytes : 1, wanted = stump_blocks(k.rows);
  int64_t blocks = fit < wanted ? fit : wanted;
  if (blocks < 1) blocks = 1;
  const StreamScratch of_blocks(static_cast<size_t>(bytes * blocks)),
      memory(static_cast<size_t>(blocks > 1 ? bytes : 0));
  double* const parts = of_blocks.as<double>();
  double* const sums = blocks > 1 ? memory.as<double>() : parts;
  if (k.features > 0)
    launch(name, k.code_bytes == 1 ? sum_codes<uint8_t> : sum_codes<uint16_t>, blocks_for(k.features * blocks), kBlock,
           0, k, parts, blocks, pieces_of(k.rows, blocks));
  if (blocks > 1) launch_over(name, add_blocks<0>, k.features * size, sums, parts, k.features, blocks, size);
  search_any(name, Binned{k, sums}, k.most_bins > k.rows ? k.most_bins : k.rows);
}

}  // namespace einkorn::cuda
