// Reductions: lanes along the reduced axis where it is the near one, along the outputs where they are.
//
//   row way                              column way
//            n reduced, near                      K outputs, near
//          +----------------+                   +---------------+
//   kept   | ---->  one sum |           reduced | | | | | | | | |   8 rows at a time, added as a tree,
//          | ---->          |                   | v v v v v v v |   then to a row of sums in the L1 cache
//          +----------------+                   +---------------+
//
// [N, K, H, W] -> [K] goes the row way: runs of H*W, a block of outputs side by side in one walk over N, so that x is
// read in the order in which it lies. A task is a block of outputs by a chunk of the reduced elements; where there is
// more than one chunk, each writes partial results [chunk, output] and these are added as a binary tree.
//
// A lane adds at most some dozen numbers in sequence before it is folded: the error grows with log n, as for pairwise
// sums.
//
// versions tried, float32, avx512, 1 thread                                                          us     GB/s
//   [1000000, 3] -> [3]      one row of 3 at a time                                                1417        8
//                            85 rows without gaps taken as one of 255, folded at the end            142       85
//   [100000, 10] -> [10]     one row at a time, 25 rows as one                                 156,  43   26, 92
//   maximum of 512 KB        two comparisons and a blend; maximum and largest magnitude        4.8, 2.1  109, 245
//   argmax of 2048 rows of 1024     blocks of 2048, 512, 256, 128                    384, 300, 209, 207       40
//                                   the place of the largest in its block found by vectors
//   argmax of 2 M in one row        one row; in parts (two threads of Emerald Rapids)              305, 150
//   sum of 256 MB            plain; asked for 0.5 to 8 KB ahead; in 2, 4, 8 streams      41; 39 - 42; 43, 43, 39
//   [8192, 4096] -> [4096]   1024 or 2048 columns at a time                                        no difference

#include "kernels/reduce.h"

#include <math.h>

#include <bit>

#include "kernels/instantiate.h"
#include "simd/lanes.h"
#include "simd/simd.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr double kCost = 0.05;  // ns an element on one core

// A way to combine numbers. Lanes is what a vector of running results consists of.
struct Sum {
  template <class T>
  static constexpr T identity = 0;

  template <class V>
  static EINKORN_INLINE V combine(V a, V b) {
    return a + b;
  }

  template <class T>
  struct Lanes {
    Vec<T> sum;

    EINKORN_INLINE explicit Lanes(Vec<T> x) : sum(x) {}
    EINKORN_INLINE void join(const Lanes& other) { sum += other.sum; }
    EINKORN_INLINE Vec<T> value() const { return sum; }
    EINKORN_INLINE T fold() const { return sum_lanes<T>(sum); }
  };
};

struct Product {
  template <class T>
  static constexpr T identity = 1;

  template <class V>
  static EINKORN_INLINE V combine(V a, V b) {
    return a * b;
  }

  template <class T>
  struct Lanes {
    Vec<T> product;

    EINKORN_INLINE explicit Lanes(Vec<T> x) : product(x) {}
    EINKORN_INLINE void join(const Lanes& other) { product *= other.product; }
    EINKORN_INLINE Vec<T> value() const { return product; }
    EINKORN_INLINE T fold() const {
      T lane[kLanes<T>];
      memcpy(lane, &product, sizeof product);
      EINKORN_UNROLL for (int half = kLanes<T> / 2; half > 0; half /= 2) for (int i = 0; i < half; ++i) lane[i] *=
          lane[i + half];
      return lane[0];
    }
  };
};

// kSign 1: the largest, -1: the smallest. Comparisons lose NaN, so the largest magnitude is kept as well, as an
// integer: bits beyond those of infinity are a NaN. That is quicker than two comparisons for each number.
template <int kSign>
struct Extreme {
  template <class T>
  static constexpr T identity = -kSign * (T)INFINITY;

  template <class V>
  static EINKORN_INLINE auto better(V a, V b) {
    return kSign > 0 ? a > b : a < b;
  }

  template <class V>
  static EINKORN_INLINE V combine(V a, V b) {
    return better(b, a) | (b != b) ? b : a;  // a NaN stays, once it is there
  }

  template <class T>
  struct Lanes {
    using Bits = typename VectorOf<T>::lane_integer;
    static constexpr Bits kInfinity = sizeof(T) == 4 ? (Bits)0x7f800000 : (Bits)0x7ff0000000000000;
    static constexpr Bits kNoSign = (Bits)(~(uint64_t)0 >> (65 - 8 * sizeof(T)));

    Vec<T> best;
    IntVec<T> magnitude;

    EINKORN_INLINE explicit Lanes(Vec<T> x) : best(x), magnitude((IntVec<T>)x & kNoSign) {}
    EINKORN_INLINE void join(const Lanes& other) {
      best = better(other.best, best) ? other.best : best;
      magnitude = maximum(magnitude, other.magnitude);
    }
    EINKORN_INLINE Vec<T> value() const { return magnitude > kInfinity ? broadcast((T)NAN) : best; }
    EINKORN_INLINE T fold() const {
      T lane[kLanes<T>];
      Bits bits[kLanes<T>];
      memcpy(lane, &best, sizeof best);
      memcpy(bits, &magnitude, sizeof magnitude);
      EINKORN_UNROLL for (int half = kLanes<T> / 2; half > 0; half /= 2) for (int i = 0; i < half; ++i) {
        lane[i] = better(lane[i + half], lane[i]) ? lane[i + half] : lane[i];
        bits[i] = bits[i] > bits[i + half] ? bits[i] : bits[i + half];
      }
      return bits[0] > kInfinity ? (T)NAN : lane[0];
    }
  };
};

using Max = Extreme<1>;
using Min = Extreme<-1>;

// A position in an index space, counted up like an odometer, with its offset in x.
struct Odometer {
  int ndim;
  const int64_t* shape;
  const int64_t* strides;
  int64_t index[kMaxDims];
  int64_t offset;

  Odometer(int ndim, const int64_t* shape, const int64_t* strides, int64_t position)
      : ndim(ndim), shape(shape), strides(strides), index{}, offset(0) {
    for (int d = ndim - 1; d >= 0 && position > 0; --d) {
      index[d] = position % shape[d];
      position /= shape[d];
      offset += index[d] * strides[d];
    }
  }

  EINKORN_INLINE void next() {
    for (int d = ndim - 1; d >= 0; --d) {
      offset += strides[d];
      if (++index[d] < shape[d]) return;
      offset -= shape[d] * strides[d];
      index[d] = 0;
    }
  }
};

// n lanes from element i of a run; the lanes past n hold the identity.
template <class Op, class T>
EINKORN_INLINE Vec<T> load_run(const T* x, int64_t i, int64_t n) {
  constexpr T identity = Op::template identity<T>;
  if (n == kLanes<T>) return load(x + i);
  const Vec<T> v = load_partial(x + i, n);
  return identity == 0 ? v : (first_lanes<T>(n) ? v : broadcast(identity));
}

// n lanes from elements `step` apart. Not inlined where many are loaded: so many loads of one number hide a call.
template <class T>
__attribute__((noinline)) Vec<T> load_steps(const T* x, int64_t step, int64_t n) {
  T lane[kLanes<T>] = {};
  if (n == kLanes<T>)
    EINKORN_UNROLL for (int j = 0; j < kLanes<T>; ++j) lane[j] = x[j * step];
  else
    for (int64_t j = 0; j < n; ++j) lane[j] = x[j * step];
  return load(lane);
}

template <class T>
constexpr int64_t kRound = 8 * kLanes<T>;  // elements that 8 chains take at once
constexpr int64_t kRounds = 32;            // after which they meet

// Joins a run of n neighbours to `total`.
template <class Op, class T>
EINKORN_INLINE void fold_run(typename Op::template Lanes<T>& total, const T* x, int64_t n) {
  using Lanes = typename Op::template Lanes<T>;
  constexpr int64_t lanes = kLanes<T>;
  const auto whole = [&](int64_t i) { return Lanes(load_run<Op>(x, i, lanes)); };
  int64_t i = 0;
  while (i + kRound<T> <= n) {  // 8 chains hide the latency of an addition
    const int64_t end = i + clamp_between((n - i) / kRound<T>, 1, kRounds) * kRound<T>;
    Lanes a = whole(i), b = whole(i + lanes), c = whole(i + 2 * lanes), d = whole(i + 3 * lanes);
    Lanes e = whole(i + 4 * lanes), f = whole(i + 5 * lanes), g = whole(i + 6 * lanes), h = whole(i + 7 * lanes);
    for (i += kRound<T>; i < end; i += kRound<T>) {
      a.join(whole(i));
      b.join(whole(i + lanes));
      c.join(whole(i + 2 * lanes));
      d.join(whole(i + 3 * lanes));
      e.join(whole(i + 4 * lanes));
      f.join(whole(i + 5 * lanes));
      g.join(whole(i + 6 * lanes));
      h.join(whole(i + 7 * lanes));
    }
    a.join(b), c.join(d), e.join(f), g.join(h);
    a.join(c), e.join(g);
    a.join(e);
    total.join(a);
  }
  for (; i + lanes <= n; i += lanes) total.join(whole(i));
  if (i < n) total.join(Lanes(load_run<Op>(x, i, n - i)));
}

// The same for n elements `step` apart, which are brought together first, as many as meet: the bits are those of neighbours.
template <class Op, class T>
__attribute__((noinline)) void fold_steps(typename Op::template Lanes<T>& total, const T* x, int64_t step, int64_t n) {
  T run[kRound<T> * kRounds];
  while (n > 0) {
    const int64_t size = clamp_between(n, 0, kRound<T> * kRounds);
    for (int64_t i = 0; i < size; ++i) run[i] = x[i * step];
    fold_run<Op>(total, run, size);
    x += size * step;
    n -= size;
  }
}

template <class Op, bool kUnit, class T>
EINKORN_INLINE void fold_any(typename Op::template Lanes<T>& total, const T* x, int64_t step, int64_t n) {
  if constexpr (kUnit)
    fold_run<Op>(total, x, n);
  else
    fold_steps<Op>(total, x, step, n);
}

// The row way: `count` outputs from `first` on, each folded over the runs [run, run_end).
template <class Op, bool kUnit, class T>
void fold_rows(const Reduce<T>& k, const ReducePlan& plan, T* out, int64_t first, int64_t count, int64_t run,
               int64_t run_end) {
  using Lanes = typename Op::template Lanes<T>;
  const ReduceLayout& layout = k.layout;
  const int near = layout.reduced_ndim - 1;
  const int64_t n = layout.reduced_shape[near], step = layout.reduced_strides[near];
  const int64_t pieces = divide_up(n, plan.piece);
  Odometer kept(layout.kept_ndim, layout.kept_shape, layout.kept_strides, first);

  if (run_end - run == 1) {
    const int64_t begin = run % pieces * plan.piece;
    const Odometer outer(near, layout.reduced_shape, layout.reduced_strides, run / pieces);
    for (int64_t j = 0; j < count; ++j, kept.next()) {
      Lanes total(broadcast(Op::template identity<T>));
      fold_any<Op, kUnit>(total, k.x + kept.offset + outer.offset + begin * step, step,
                          clamp_between(n - begin, 0, plan.piece));
      out[j] = total.fold();
    }
    return;
  }

  const T* row[kReduceRows];
  alignas(kVectorBytes) char memory[kReduceRows * sizeof(Lanes)];
  Lanes* const total = reinterpret_cast<Lanes*>(memory);
  for (int64_t j = 0; j < count; ++j, kept.next()) {
    row[j] = k.x + kept.offset;
    total[j] = Lanes(broadcast(Op::template identity<T>));
  }
  Odometer outer(near, layout.reduced_shape, layout.reduced_strides, run / pieces);
  for (int64_t piece = run % pieces; run < run_end; ++run) {
    const int64_t begin = piece * plan.piece, size = clamp_between(n - begin, 0, plan.piece);
    for (int64_t j = 0; j < count; ++j) fold_any<Op, kUnit>(total[j], row[j] + outer.offset + begin * step, step, size);
    if (++piece == pieces) {
      piece = 0;
      outer.next();
    }
  }
  for (int64_t j = 0; j < count; ++j) out[j] = total[j].fold();
}

// out[0 : width] = the combination of the next `count` rows of x, and of out itself where it holds something already.
template <class Op, bool kUnit, class T>
__attribute__((noinline)) void fold_columns(T* out, int64_t width, int64_t count, int64_t step, bool fresh, const T* x,
                                            Odometer rows) {
  using Lanes = typename Op::template Lanes<T>;
  const auto take = [&]<int kRows>() {
    const T* row[kRows];
    for (int r = 0; r < kRows; ++r, rows.next()) row[r] = x + rows.offset;
    for_vectors<T>(width, [&](int64_t i, int64_t n) {
      const auto lanes = [&](int r) {
        return Lanes(kUnit ? load_n(row[r] + i, n) : load_steps(row[r] + i * step, step, n));
      };
      Lanes a = lanes(0);
      if constexpr (kRows >= 2) a.join(lanes(1));
      if constexpr (kRows >= 4) {
        Lanes b = lanes(2);
        b.join(lanes(3));
        a.join(b);
      }
      if constexpr (kRows == 8) {
        Lanes b = lanes(4), c = lanes(6);
        b.join(lanes(5));
        c.join(lanes(7));
        b.join(c);
        a.join(b);
      }
      store_n(out + i, n, fresh ? a.value() : Op::combine(load_n(out + i, n), a.value()));
    });
    fresh = false;
    count -= kRows;
  };
  while (count >= 8) take.template operator()<8>();
  if (count >= 4) take.template operator()<4>();
  if (count >= 2) take.template operator()<2>();
  if (count >= 1) take.template operator()<1>();
}

// The column way: `width` outputs at x, each folded over the reduced elements [begin, end).
template <class Op, bool kUnit, class T>
void fold_unit(const Reduce<T>& k, const ReducePlan& plan, T* out, const T* x, int64_t width, int64_t begin,
               int64_t end) {
  const ReduceLayout& layout = k.layout;
  const int64_t step = layout.kept_strides[layout.kept_ndim - 1];
  bool fresh = true;
  if (plan.fold > 1 && end - begin >= 2 * plan.fold) {
    T wide[kReduceFold];
    const int64_t wide_width = plan.fold * width, wide_rows = (end - begin) / plan.fold;
    fold_columns<Op, true>(wide, wide_width, wide_rows, 1, true, x + begin * width,
                           Odometer(1, &wide_rows, &wide_width, 0));
    fold_columns<Op, true>(out, width, plan.fold, 1, true, wide, Odometer(1, &plan.fold, &width, 0));
    begin += wide_rows * plan.fold;
    fresh = false;
  }
  fold_columns<Op, kUnit>(out, width, end - begin, step, fresh, x,
                          Odometer(layout.reduced_ndim, layout.reduced_shape, layout.reduced_strides, begin));
}

template <class T>
EINKORN_INLINE void rescale(T* out, int64_t n, T scale, T divisor) {
  if (scale == 1 && divisor == 1) return;
  for (int64_t i = 0; i < n; ++i) out[i] = out[i] * scale / divisor;
}

// Partial results [chunks, outputs]: rows c and c + distance meet until the first one holds everything.
template <class Op, class T>
void fold_partial(const Reduce<T>& k, const ReducePlan& plan, T* partial) {
  constexpr int64_t kSlice = 2048;
  const double cost = kCost * static_cast<double>(kSlice * plan.chunks);
  parallel_for(k.ws, divide_up(plan.outputs, kSlice), cost, [&](int64_t slice, int) {
    const int64_t first = slice * kSlice, count = clamp_between(plan.outputs - first, 0, kSlice);
    T* const mine = partial + first;
    for (int64_t distance = 1; distance < plan.chunks; distance *= 2)
      for (int64_t c = 0; c + distance < plan.chunks; c += 2 * distance) {
        T* const a = mine + c * plan.outputs;
        const T* const b = a + distance * plan.outputs;
        for_vectors<T>(
            count, [&](int64_t i, int64_t n) { store_n(a + i, n, Op::combine(load_n(a + i, n), load_n(b + i, n))); });
      }
    memcpy(k.out + first, mine, static_cast<size_t>(count) * sizeof(T));
    rescale(k.out + first, count, k.scale, k.divisor);
  });
}

template <class Op, class T>
void reduce(const Reduce<T>& k) {
  const ReduceLayout& layout = k.layout;
  const ReducePlan plan = reduce_plan(layout);
  if (plan.chunks == 0) {
    for (int64_t i = 0; i < plan.outputs; ++i) k.out[i] = Op::template identity<T>;
    rescale(k.out, plan.outputs, k.scale, k.divisor);
    return;
  }
  const bool is_partial = plan.chunks > 1;
  T* const to = is_partial ? carve<ReduceParts<T>>(k).partial : k.out;
  const int near = layout.reduced_ndim - 1, last = layout.kept_ndim - 1;
  const int64_t columns = layout.kept_shape[last], step = layout.kept_strides[last];

  const auto rows_task = [&](T* out, int64_t first, int64_t chunk) {
    const int64_t runs = plan.reduced / layout.reduced_shape[near] * divide_up(layout.reduced_shape[near], plan.piece);
    const int64_t run = chunk * plan.chunk, run_end = clamp_between(run + plan.chunk, 0, runs);
    const int64_t count = clamp_between(plan.outputs - first, 0, plan.block);
    if (layout.reduced_strides[near] == 1)
      fold_rows<Op, true>(k, plan, out + first, first, count, run, run_end);
    else
      fold_rows<Op, false>(k, plan, out + first, first, count, run, run_end);
    if (!is_partial) rescale(out + first, count, k.scale, k.divisor);
  };

  const auto columns_task = [&](T* out, int64_t unit, int64_t chunk) {
    const int64_t across = divide_up(columns, plan.width);
    const int64_t unit_end = clamp_between(unit + plan.block, 0, plan.outputs / columns * across);
    const int64_t begin = chunk * plan.chunk, end = clamp_between(begin + plan.chunk, 0, plan.reduced);
    Odometer outer(last, layout.kept_shape, layout.kept_strides, unit / across);
    for (; unit < unit_end; ++unit) {
      const int64_t column = unit % across * plan.width, width = clamp_between(columns - column, 0, plan.width);
      T* const mine = out + unit / across * columns + column;
      const T* const x = k.x + outer.offset + column * step;
      if (step == 1)
        fold_unit<Op, true>(k, plan, mine, x, width, begin, end);
      else
        fold_unit<Op, false>(k, plan, mine, x, width, begin, end);
      if (!is_partial) rescale(mine, width, k.scale, k.divisor);
      if (column + width == columns) outer.next();
    }
  };

  parallel_for(k.ws, plan.blocks * plan.chunks, kCost * static_cast<double>(plan.task_elements),
               [&](int64_t task, int) {
                 const int64_t chunk = task % plan.chunks, first = task / plan.chunks * plan.block;
                 if (plan.along_rows)
                   rows_task(to + chunk * plan.outputs, first, chunk);
                 else
                   columns_task(to + chunk * plan.outputs, first, chunk);
               });
  if (is_partial) fold_partial<Op>(k, plan, to);
}

// argmax of a row: the largest of each block, then a search in the block that had it.
template <class T>
int64_t argmax_row(const T* x, int64_t n) {
  constexpr int64_t kBlock = 256;
  T best = -(T)INFINITY;
  int64_t i = 0;
  for (int64_t begin = 0; begin < n && best == best; begin += kBlock) {
    Max::Lanes<T> lanes(broadcast(-(T)INFINITY));
    fold_run<Max>(lanes, x + begin, clamp_between(n - begin, 0, kBlock));
    const T block_best = lanes.fold();
    if (block_best > best || block_best != block_best) {
      best = block_best;
      i = begin;
    }
  }
  for (;; i += kLanes<T>) {  // it is there: what lies past the row's end comes after it
    const Vec<T> v = load_n(x + i, clamp_between(n - i, 0, kLanes<T>));
    const uint64_t bits = bits_of_lanes<T>(best == best ? v == best : v != v);
    if (bits != 0) return i + std::countr_zero(bits);
  }
}

// argmax of the n live lanes of a vector of columns, whose rows are `inner` apart.
template <class T>
EINKORN_INLINE void argmax_columns(int64_t* out, const T* x, int64_t rows, int64_t inner, int64_t n) {
  using Index = typename VectorOf<T>::lane_integer;
  Vec<T> best = load_n(x, n);
  IntVec<T> at = {};
  for (int64_t r = 1; r < rows; ++r) {
    const Vec<T> v = load_n(x + r * inner, n);
    const IntVec<T> wins = (v > best) | ((v != v) & (best == best));
    best = wins ? v : best;
    at = wins ? IntVec<T>{} + static_cast<Index>(r) : at;
  }
  for (int64_t j = 0; j < n; ++j) out[j] = at[j];
}

}  // namespace

template <class T>
void reduce_sum(const Reduce<T>& k) {
  reduce<Sum>(k);
}

template <class T>
void reduce_max(const Reduce<T>& k) {
  reduce<Max>(k);
}

template <class T>
void reduce_min(const Reduce<T>& k) {
  reduce<Min>(k);
}

template <class T>
void reduce_prod(const Reduce<T>& k) {
  reduce<Product>(k);
}

// argmax of a row that is worth several threads: the best of each part, then of those.
constexpr int64_t kParts = 64, kLeastPart = 32768;

template <class T>
int64_t argmax_long_row(const Workspace& ws, const T* x, int64_t n) {
  const int64_t parts = clamp_between(n / kLeastPart, 1, kParts), part = divide_up(n, parts);
  int64_t at[kParts];
  parallel_for(ws, parts, 2 * kCost * static_cast<double>(part), [&](int64_t p, int) {
    const int64_t begin = p * part;
    at[p] = begin < n ? begin + argmax_row(x + begin, clamp_between(n - begin, 0, part)) : 0;
  });
  int64_t best = at[0];
  for (int64_t p = 1; p < parts; ++p)
    if (x[at[p]] > x[best] || (x[at[p]] != x[at[p]] && x[best] == x[best])) best = at[p];
  return best;
}

template <class T>
void argmax(const Argmax<T>& k) {
  const int64_t row = k.n * k.inner;
  if (k.outer == 0 || row == 0) return;
  if (k.inner == 1 && k.outer < 8 && k.n >= 2 * kLeastPart) {
    for (int64_t o = 0; o < k.outer; ++o) k.out[o] = argmax_long_row(k.ws, k.x + o * row, k.n);
    return;
  }
  const int64_t rows = row < 16384 ? 16384 / row : 1;
  parallel_for(k.ws, divide_up(k.outer, rows), 2 * kCost * static_cast<double>(rows * row), [&](int64_t task, int) {
    for (int64_t o = task * rows; o < clamp_between((task + 1) * rows, 0, k.outer); ++o) {
      const T* const x = k.x + o * row;
      int64_t* const out = k.out + o * k.inner;
      if (k.inner == 1)
        *out = argmax_row(x, k.n);
      else
        for_vectors<T>(k.inner, [&](int64_t i, int64_t n) { argmax_columns(out + i, x + i, k.n, k.inner, n); });
    }
  });
}

void first_out_of_range(const FirstOutOfRange& k) {
  const uint64_t range = k.high > k.low ? static_cast<uint64_t>(k.high) - static_cast<uint64_t>(k.low) : 0;
  const auto bad = [&](int64_t i) -> int64_t {
    return (static_cast<uint64_t>(i) - static_cast<uint64_t>(k.low) >= range) & (i != k.ignore);
  };
  constexpr int64_t kBlock = 512;  // looked through without a branch
  for (int64_t begin = 0; begin < k.size; begin += kBlock) {
    const int64_t end = clamp_between(begin + kBlock, 0, k.size);
    int64_t any = 0;
    for (int64_t i = begin; i < end; ++i) any |= bad(k.index[i]);
    if (any == 0) continue;
    *k.position = begin;
    while (!bad(k.index[*k.position])) ++*k.position;
    return;
  }
  *k.position = -1;
}

void clamp_indices(const ClampIndices& k) {
  for (int64_t i = 0; i < k.size; ++i) {
    const int64_t index = k.index[i];
    const bool bad = (index < k.low || index >= k.high) && index != k.ignore;
    k.out[i] = bad ? clamp_between(index, k.low, k.high - 1) : index;
    if (bad && *k.position < 0) *k.position = i;
  }
}

EINKORN_INSTANTIATE(reduce_sum, Reduce)
EINKORN_INSTANTIATE(reduce_max, Reduce)
EINKORN_INSTANTIATE(reduce_min, Reduce)
EINKORN_INSTANTIATE(reduce_prod, Reduce)
EINKORN_INSTANTIATE(argmax, Argmax)

}  // namespace einkorn::EINKORN_ISA
