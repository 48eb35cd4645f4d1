// Layer, RMS and group norm: a row is read from memory once, and from the L1 or L2 cache the times after.
//
//        n = channels x run                     forward   moments of a row, then the row written
//      +------+------+------+                   backward  the row's sums of h and h xhat, then gx; gweight and gbias are sums
//   r  | run  | run  | run  |  w[0] w[1] w[2]             down the rows, taken while four rows at a time go by, so that the
//      +------+------+------+                             running sums are loaded and stored for every fourth row alone
//
// Long runs have one weight each. Short ones (layer norm: runs of 1) have weights spread out to one an element.
//
// measured, float, avx512, 2 threads, ms (share of the copy rate)      [2048, 1024]     [16384, 1024]
//   copy                                                               149 GB/s         51 GB/s
//   layer norm, forward; PyTorch 2.13                                  0.26 (43%) 0.32  3.3 (81%) 25
//   RMS norm, forward; PyTorch                                         0.19 (59%) 0.92  3.0 (89%) 74
//   residual + layer norm, forward; PyTorch                            0.76 (30%) 0.89  7.0 (76%) 51
//   layer norm, forward and backward; PyTorch                          1.7  1.7         12.7  53
//   residual + layer norm, forward and backward; PyTorch               2.7  2.3         19.8  76
// Cycles a vector, one core of Zen 4, arrays in the caches        rows of 1024   768     128    16   (a copy of 1024: 4.8)
//   layer norm, each walk of a row for itself                     10.5           10.9    21.9   104
//   a row written while the next is first read                    10.2           10.6    18.3   75
//   the same, the lines of the next result asked for              10.2           10.6    18.7   78    (two threads, 8 MB: slower)
//   RMS norm, before and after                                    7.0  6.6       7.5 6.9 13  10 61 36
// One core of Emerald Rapids, 64 MB, ms (a copy 6.8), each row's next page asked for: layer norm 8.8 before, 7.4; RMS norm 8.3, 6.6.
// The gradient at [2048, 1024], one core of Emerald Rapids beside other programs, ms, the least of 25 to 40 in several processes (a copy
// .58 to .60; g, x and gx at its rate: .87)
//   four rows' sums, then their gx, as it is                          1.03 to 1.07
//   the next four rows asked for while gx is written                  1.3  to 2.2       they drive out the four that are walked again
//   two rows at a time                                                1.03
//   the lines of gx asked for while sums are taken                    1.14 to 1.18
//   arrays that begin elsewhere in their pages, by 64 B to 4 KB        .95 to 1.07
// That is 83% of the copy's rate. What had made layer norm with its gradients slower than PyTorch was a copy of gx by the tape.
// Arrays of 8 MB lie in the last cache, which gives 75 GB/s a core: there the three walks over a row, not memory, set the
// pace. From 32 MB on results are streamed.

#include "kernels/instantiate.h"
#include "kernels/norm/moments.h"
#include "kernels/norm/norm_parts.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr double kCost = 0.25, kGradCost = 0.45;  // ns an element on one core

constexpr int64_t kFetchedAhead = 2048;  // elements of a row that leaves room for another in the L1 cache

// weight[c] for each element: [groups, n] from [groups, n / run].
template <class T>
const T* spread(T* room, const T* weight, int64_t size, int64_t run) {
  if (weight == nullptr || run == 1 || run >= kShortRun) return weight;
  for (int64_t i = 0; i < size; ++i) room[i] = weight[i / run];
  return room;
}

// The first reading of a row: x, or x + residual, which is kept in `total`; there is none of bfloat16.
template <class T>
struct RowSource {
  const T* x;
  const T* residual;
  T* total;

  EINKORN_INLINE Vec<Number<T>> first(int64_t i, int64_t live) const {
    const Vec<Number<T>> v = load_n(x + i, live);
    if constexpr (sizeof(T) > 2)
      if (residual != nullptr) {
        const Vec<T> sum = v + load_n(residual + i, live);
        store_n(total + i, live, sum);
        return sum;
      }
    return v;
  }
  EINKORN_INLINE Vec<Number<T>> again(int64_t i, int64_t live) const {
    return load_n((residual == nullptr ? x : total) + i, live);
  }
};

template <class One>
__attribute__((noinline)) double squares_in_double(int64_t n, const One& one) {
  double squares = 0;
  for (int64_t i = 0; i < n; ++i) squares += static_cast<double>(one(0, i)) * static_cast<double>(one(0, i));
  return squares;
}

// Mean and variance of a row; without a mean, the mean square.
template <class T>
EINKORN_INLINE Moments row_moments(const RowSource<T>& row, int64_t n, bool centred) {
  const auto one = [&](int64_t, int64_t i) {
    return row.residual == nullptr ? widened(row.x[i]) : widened(row.x[i]) + widened(row.residual[i]);
  };
  if (centred)
    return moments_of<Number<T>>(
        1, n, one, [&](int64_t, int64_t i, int64_t live) EINKORN_LAMBDA { return row.first(i, live); },
        [&](int64_t, int64_t i, int64_t live) EINKORN_LAMBDA { return row.again(i, live); });
  Moments m;
  m.count = static_cast<double>(n);
  double unused = 0;
  sums_of<Number<T>>(1, n, m.squares, unused,
                     [&](int64_t, int64_t i, int64_t live, Vec<Number<T>>& a, Vec<Number<T>>& b) EINKORN_LAMBDA {
                       const Vec<Number<T>> v = row.first(i, live);
                       a = v * v;
                       b = Vec<Number<T>>{};
                     });
  if (sizeof(Number<T>) == 4 && !__builtin_isfinite(m.squares)) m.squares = squares_in_double(n, one);
  return m;
}

// One row of a group, or kRows of them side by side: what the backward pass knows of each.
template <class T>
struct GradRow {
  const T* g;
  const T* y;
  const T* x;
  T* gx;
  Centre<Number<T>> centre;
  Number<T> rstd;

  EINKORN_INLINE Vec<Number<T>> gradient(int64_t i, int64_t live, Activation activation) const {
    const Vec<Number<T>> v = load_n(g + i, live);
    return activation == Activation::none ? v : activation_grad(v, load_n(y + i, live), activation);
  }
  EINKORN_INLINE Vec<Number<T>> standard(int64_t i, int64_t live) const {
    return centre.from(load_n(x + i, live)) * rstd;
  }
};

template <class T>
EINKORN_INLINE GradRow<T> grad_row(const RowNormGrad<T>& k, int64_t r) {
  return {k.g + r * k.n,
          k.y == nullptr ? nullptr : k.y + r * k.n,
          k.x + r * k.n,
          k.gx + r * k.n,
          Centre<Number<T>>(k.mean == nullptr ? 0 : k.mean[r]),
          static_cast<Number<T>>(k.rstd[r])};
}

// kRows rows of one group, `step` rows apart; weights an element each; gw and gb, if there, are added to.
template <int kRows, bool kActivated, class T>
EINKORN_INLINE void short_rows_backward(const RowNormGrad<T>& k, int64_t first, int64_t step, const Number<T>* weight,
                                        Number<T>* gw, Number<T>* gb, bool streamed) {
  GradRow<T> row[kRows];
  EINKORN_UNROLL for (int q = 0; q < kRows; ++q) row[q] = grad_row(k, first + q * step);
  const Activation activation = kActivated ? k.activation : Activation::none;
  double along[kRows] = {}, across[kRows] = {};  // sums of h, of h xhat
  for (int64_t begin = 0; begin < k.n; begin += kMomentBlock) {
    const int64_t size = k.n - begin < kMomentBlock ? k.n - begin : kMomentBlock;
    Vec<Number<T>> h_sum[kRows] = {}, x_sum[kRows] = {};
    const auto body = [&](int64_t j, int64_t live) EINKORN_LAMBDA {
      const int64_t i = begin + j;
      const Vec<Number<T>> w = weight == nullptr ? broadcast(static_cast<Number<T>>(1)) : load_n(weight + i, live);
      Vec<Number<T>> g[kRows], gx[kRows];
      EINKORN_UNROLL for (int q = 0; q < kRows; ++q) {
        g[q] = row[q].gradient(i, live, activation);
        const Vec<Number<T>> xhat = row[q].standard(i, live);
        gx[q] = g[q] * xhat;
        h_sum[q] += rounded(g[q] * w);
        x_sum[q] += only<Number<T>>(gx[q], live) * w;
      }
      if (gw == nullptr) return;
      EINKORN_UNROLL for (int half = kRows / 2; half > 0; half /= 2) for (int q = 0; q < half; ++q) {
        g[q] += g[q + half];
        gx[q] += gx[q + half];
      }
      store_n(gw + i, live, load_n(gw + i, live) + gx[0]);
      store_n(gb + i, live, load_n(gb + i, live) + g[0]);
    };
    int64_t j = 0;
    for (; j + kLanes<Number<T>> <= size; j += kLanes<Number<T>>) body(j, static_cast<int64_t>(kLanes<Number<T>>));
    if (j < size) body(j, size - j);
    EINKORN_UNROLL for (int q = 0; q < kRows; ++q) {
      along[q] += sum_lanes<Number<T>>(h_sum[q]);
      across[q] += sum_lanes<Number<T>>(x_sum[q]);
    }
  }
  if (k.gx == nullptr) return;
  const double n = static_cast<double>(k.n);
  EINKORN_UNROLL for (int q = 0; q < kRows; ++q) {
    const Number<T> mean_h = static_cast<Number<T>>(k.mean == nullptr ? 0 : along[q] / n),
                    mean_x = static_cast<Number<T>>(across[q] / n);
    const T* addend = k.addend == nullptr ? nullptr : k.addend + (row[q].gx - k.gx);
    write_run(row[q].gx, k.n, streamed, [&](int64_t i, int64_t live) EINKORN_LAMBDA {
      Vec<Number<T>> h = row[q].gradient(i, live, activation);
      if (weight != nullptr) h = rounded(h * load_n(weight + i, live));
      const Vec<Number<T>> gx = ((h - mean_h) - row[q].standard(i, live) * mean_x) * row[q].rstd;
      return addend == nullptr ? gx : gx + load_n(addend + i, live);
    });
  }
}

template <bool kActivated, class T>
void short_runs_backward(const RowNormGrad<T>& k, bool streamed) {
  const RowNormGradParts<T> parts = carve<RowNormGradParts<T>>(k);
  const Number<T>* weights = spread(parts.weight, k.weight, k.groups * k.n, k.run);
  const int64_t samples = k.rows / k.groups;
  const Chunks chunks(samples, k.n);
  const bool wanted = k.gweight != nullptr || k.gbias != nullptr;
  parallel_for(k.ws, k.groups * chunks.count, kGradCost * static_cast<double>(chunks.each * k.n),
               [&](int64_t task, int) {
                 const int64_t group = task / chunks.count, begin = task % chunks.count * chunks.each;
                 const int64_t end = begin + chunks.each < samples ? begin + chunks.each : samples;
                 Number<T>* gw = wanted ? parts.partial + task * 2 * k.n : nullptr;
                 Number<T>* gb = wanted ? gw + k.n : nullptr;
                 if (wanted) memset(gw, 0, static_cast<size_t>(2 * k.n) * sizeof(Number<T>));
                 const Number<T>* weight = weights == nullptr ? nullptr : weights + group * k.n;
                 int64_t s = begin;
                 for (; s + 4 <= end; s += 4)
                   short_rows_backward<4, kActivated>(k, s * k.groups + group, k.groups, weight, gw, gb, streamed);
                 for (; s < end; ++s)
                   short_rows_backward<1, kActivated>(k, s * k.groups + group, k.groups, weight, gw, gb, streamed);
                 if (streamed) finish_streaming();
               });
  if (!wanted) return;
  // gweight[c]: the run of c in every chunk's sums
  const int64_t channels = k.n / k.run, block = 1024;
  const int64_t all = k.groups * channels;
  parallel_for(k.ws, norm_divide_up(all, block), 0.2 * static_cast<double>(block * k.run * 2 * chunks.count),
               [&](int64_t task, int) {
                 const int64_t end = (task + 1) * block < all ? (task + 1) * block : all;
                 for (int64_t c = task * block; c < end;) {
                   const int64_t group = c / channels, at = c % channels;
                   const Number<T>* from = parts.partial + group * chunks.count * 2 * k.n;
                   if (k.run == 1) {
                     const int64_t whole = channels - at < end - c ? channels - at : end - c;
                     const int64_t live = whole < kLanes<Number<T>> ? whole : kLanes<Number<T>>;
                     Vec<Number<T>> w = {}, b = {};
                     for (int64_t q = 0; q < chunks.count; ++q) {
                       w += load_n(from + 2 * q * k.n + at, live);
                       b += load_n(from + (2 * q + 1) * k.n + at, live);
                     }
                     if (k.gweight != nullptr) store_n(k.gweight + c, live, w);
                     if (k.gbias != nullptr) store_n(k.gbias + c, live, b);
                     c += live;
                     continue;
                   }
                   double w = 0, b = 0;
                   for (int64_t q = 0; q < chunks.count; ++q)
                     for (int64_t i = at * k.run; i < (at + 1) * k.run; ++i) {
                       w += from[2 * q * k.n + i];
                       b += from[(2 * q + 1) * k.n + i];
                     }
                   if (k.gweight != nullptr) k.gweight[c] = static_cast<Number<T>>(w);
                   if (k.gbias != nullptr) k.gbias[c] = static_cast<Number<T>>(b);
                   ++c;
                 }
               });
}

template <bool kActivated, class T>
void long_runs_backward(const RowNormGrad<T>& k, bool streamed) {
  const RowNormGradParts<T> parts = carve<RowNormGradParts<T>>(k);
  const Activation activation = kActivated ? k.activation : Activation::none;
  const int64_t channels = k.n / k.run, samples = k.rows / k.groups;
  const bool wanted = k.gweight != nullptr || k.gbias != nullptr;
  const int64_t each = k.n < kNormTask ? kNormTask / k.n : 1;
  parallel_for(k.ws, norm_divide_up(k.rows, each), kGradCost * static_cast<double>(each * k.n), [&](int64_t task, int) {
    const int64_t end = (task + 1) * each < k.rows ? (task + 1) * each : k.rows;
    for (int64_t r = task * each; r < end; ++r) {
      const GradRow<T> row = grad_row(k, r);
      const Number<T>* weight = k.weight == nullptr ? nullptr : k.weight + r % k.groups * channels;
      double along = 0, across = 0;
      for (int64_t c = 0; c < channels; ++c) {
        double g_sum = 0, x_sum = 0;
        sums_of<Number<T>>(1, k.run, g_sum, x_sum,
                           [&](int64_t, int64_t j, int64_t live, Vec<Number<T>>& a, Vec<Number<T>>& b) EINKORN_LAMBDA {
                             a = row.gradient(c * k.run + j, live, activation);
                             b = only<Number<T>>(a * row.standard(c * k.run + j, live), live);
                           });
        const double w = weight == nullptr ? 1 : weight[c];
        along += w * g_sum;
        across += w * x_sum;
        if (wanted) {
          double* sums = parts.sums + (r * channels + c) * 2;
          sums[0] = x_sum;
          sums[1] = g_sum;
        }
      }
      if (k.gx == nullptr) continue;
      const double n = static_cast<double>(k.n);
      const Number<T> mean_h = static_cast<Number<T>>(k.mean == nullptr ? 0 : along / n),
                      mean_x = static_cast<Number<T>>(across / n);
      for (int64_t c = 0; c < channels; ++c) {
        const Number<T> w = weight == nullptr ? 1 : weight[c];
        const T* addend = k.addend == nullptr ? nullptr : k.addend + r * k.n + c * k.run;
        write_run(row.gx + c * k.run, k.run, streamed, [&](int64_t j, int64_t live) EINKORN_LAMBDA {
          const Vec<Number<T>> h = row.gradient(c * k.run + j, live, activation) * w;
          const Vec<Number<T>> gx = ((h - mean_h) - row.standard(c * k.run + j, live) * mean_x) * row.rstd;
          return addend == nullptr ? gx : gx + load_n(addend + j, live);
        });
      }
    }
    if (streamed) finish_streaming();
  });
  if (!wanted) return;
  for (int64_t c = 0; c < k.groups * channels; ++c) {
    double w = 0, b = 0;
    for (int64_t s = 0; s < samples; ++s) {
      const double* sums = parts.sums + (s * k.groups * channels + c) * 2;
      w += sums[0];
      b += sums[1];
    }
    if (k.gweight != nullptr) k.gweight[c] = static_cast<Number<T>>(w);
    if (k.gbias != nullptr) k.gbias[c] = static_cast<Number<T>>(b);
  }
}

template <class T>
EINKORN_INLINE bool is_streamed(int64_t elements) {
  return elements * static_cast<int64_t>(sizeof(T)) >= kStreamFrom;
}

// A row on its way through piped_rows.
template <class T>
struct RowState {
  const T* x;
  Number<T> shift;
  Centre<Number<T>> centre;
  Number<T> rstd;
};

// Rows short enough for several to be near, with one weight an element. While a row is written the one after it is read for the
// first time: one walk less, and nothing to wait for where it begins.
template <bool kCentred, class T>
void piped_rows(const RowNorm<T>& k, const Number<T>* weights, const Number<T>* biases, bool streamed) {
  using N = Number<T>;
  constexpr int64_t L = kLanes<N>;
  const int64_t n = k.n, each = norm_divide_up(kNormTask, n);
  parallel_for(k.ws, norm_divide_up(k.rows, each), kCost * static_cast<double>(each * n), [&](int64_t task, int) {
    const int64_t begin = task * each, end = begin + each < k.rows ? begin + each : k.rows;
    RowState<T> row = {};
    // What the first reading of row r summed, and a second one, give its statistics.
    const auto settle = [&](int64_t r, Vec<N>(&sum)[4]) EINKORN_LAMBDA {
      const T* const x = k.x + r * n;
      const auto one = [&](int64_t, int64_t i) { return widened(x[i]); };
      const double count = static_cast<double>(n);
      double squares = sum_four<N>(sum);
      if constexpr (kCentred) {
        const double mean = squares / count;
        const N shift = row.shift, centre = static_cast<N>(mean);
        Vec<N> square[4] = {};
        for_four<N>(n, [&](int l, int64_t i, int64_t live) EINKORN_LAMBDA {
          const Vec<N> off = only<N>((load_n(x + i, live) - shift) - centre, live);
          square[l] += off * off;
        });
        Moments m;
        add_block<N>(m, static_cast<double>(shift) + mean, sum_four<N>(square), 0, 1, 0, n, one);
        k.mean[r] = m.mean;
        row.centre = Centre<N>(m.mean);
        squares = m.squares;
      } else {
        if (sizeof(N) == 4 && !__builtin_isfinite(squares)) squares = squares_in_double(n, one);
        row.centre = Centre<N>(0);
      }
      const double root = 1 / __builtin_sqrt(squares / count + k.eps);
      k.rstd[r] = root;
      row.rstd = static_cast<N>(root);
      row.x = x;
    };
    const auto first_reading = [&](Vec<N> v, N shift, int64_t live)
                                   EINKORN_LAMBDA { return kCentred ? only<N>(v - shift, live) : v * v; };
    Vec<N> sum[4] = {};
    row.shift = widened(k.x[begin * n]);
    for_four<N>(n, [&](int l, int64_t i, int64_t live)
                       EINKORN_LAMBDA { sum[l] += first_reading(load_n(k.x + begin * n + i, live), row.shift, live); });
    settle(begin, sum);
    for (int64_t r = begin; r < end; ++r) {
      const int64_t after = r + 1 < end ? r + 1 : r;
      const T *const x = k.x + r * n, *const next = k.x + after * n;
      T* const out = k.out + r * n;
      const N* const w = weights == nullptr ? nullptr : weights + r % k.groups * n;
      const N* const b = biases == nullptr ? nullptr : biases + r % k.groups * n;
      const N shift = widened(*next);
      EINKORN_UNROLL for (int l = 0; l < 4; ++l) sum[l] = Vec<N>{};
      for_four<N>(n, [&](int l, int64_t i, int64_t live) EINKORN_LAMBDA {
        if (streamed) ask_a_page_ahead(next + i);
        sum[l] += first_reading(load_n(next + i, live), shift, live);
        Vec<N> v = load_n(x + i, live);
        v = (kCentred ? row.centre.from(v) : v) * row.rstd;
        if (w != nullptr) v *= load_n(w + i, live);
        if (b != nullptr) v += load_n(b + i, live);
        v = activate(v, k.activation);
        if (streamed && live == L)
          stream(out + i, v);
        else
          store_n(out + i, live, v);
      });
      if (after == r) break;
      row.shift = shift;
      settle(after, sum);
    }
    if (streamed) finish_streaming();
  });
}

template <bool kActivated, class T>
void rows_forward(const RowNorm<T>& k) {
  using N = Number<T>;
  const RowNormParts<T> parts = carve<RowNormParts<T>>(k);
  const N* weights = spread(parts.weight, k.weight, k.groups * k.n, k.run);
  const N* biases = spread(parts.bias, k.bias, k.groups * k.n, k.run);
  const Activation activation = kActivated ? k.activation : Activation::none;
  const bool is_short = k.run < kShortRun, streamed = is_streamed<T>(k.rows * k.n);
  const bool aligned = reinterpret_cast<uintptr_t>(k.out) % kVectorBytes == 0 && k.n % kLanes<N> == 0;
  if (is_short && k.residual == nullptr && k.n <= kFetchedAhead && !(streamed && !aligned)) {
    if (k.mean != nullptr) return piped_rows<true>(k, weights, biases, streamed);
    return piped_rows<false>(k, weights, biases, streamed);
  }
  const bool buffered = streamed && keeps_rows(k);
  const int64_t each = k.n < kNormTask ? kNormTask / k.n : 1;
  parallel_for(k.ws, norm_divide_up(k.rows, each), kCost * static_cast<double>(each * k.n),
               [&](int64_t task, int slot) {
                 const int64_t end = (task + 1) * each < k.rows ? (task + 1) * each : k.rows;
                 for (int64_t r = task * each; r < end; ++r) {
                   RowSource<T> row = {k.x + r * k.n, nullptr, nullptr};
                   if (k.residual != nullptr) {
                     row.residual = k.residual + r * k.n;
                     row.total = buffered ? parts.row[slot] : k.total + r * k.n;
                   }
                   const Moments m = row_moments(row, k.n, k.mean != nullptr);
                   const double root = 1 / __builtin_sqrt(m.squares / m.count + k.eps);
                   if (k.mean != nullptr) k.mean[r] = m.mean;
                   k.rstd[r] = root;
                   const Centre<N> centre(m.mean);
                   const N rstd = static_cast<N>(root);
                   T* out = k.out + r * k.n;
                   const T* source = k.residual == nullptr ? row.x : row.total;
                   // While this row is written the next one is fetched: the walks between would have nothing to wait for.
                   const T* next = k.n <= kFetchedAhead && r + 1 < k.rows ? row.x + k.n : row.x;
                   const T* next_residual = k.residual == nullptr ? next : row.residual + (next - row.x);
                   if (buffered)
                     write_run(k.total + r * k.n, k.n, true,
                               [&](int64_t i, int64_t live) EINKORN_LAMBDA { return load_n(source + i, live); });
                   if (is_short) {
                     const N* w = weights == nullptr ? nullptr : weights + r % k.groups * k.n;
                     const N* b = biases == nullptr ? nullptr : biases + r % k.groups * k.n;
                     write_run(out, k.n, streamed, [&](int64_t i, int64_t live) EINKORN_LAMBDA {
                       __builtin_prefetch(next + i);
                       __builtin_prefetch(next_residual + i);
                       Vec<N> v = centre.from(load_n(source + i, live)) * rstd;
                       if (w != nullptr) v *= load_n(w + i, live);
                       if (b != nullptr) v += load_n(b + i, live);
                       return activate(v, activation);
                     });
                     continue;
                   }
                   const int64_t channels = k.n / k.run, first = r % k.groups * channels;
                   for (int64_t c = 0; c < channels; ++c) {
                     const N w = weights == nullptr ? rstd : rstd * weights[first + c];
                     const N b = biases == nullptr ? 0 : biases[first + c];
                     write_run(out + c * k.run, k.run, streamed, [&](int64_t j, int64_t live) EINKORN_LAMBDA {
                       return activate(centre.from(load_n(source + c * k.run + j, live)) * w + b, activation);
                     });
                   }
                 }
                 if (streamed) finish_streaming();
               });
}

}  // namespace

template <class T>
void row_norm_forward(const RowNorm<T>& k) {
  if (k.rows * k.n == 0) {
    for (int64_t r = 0; r < k.rows; ++r) {
      if (k.mean != nullptr) k.mean[r] = NAN;
      k.rstd[r] = NAN;
    }
    return;
  }
  if (k.activation == Activation::none)
    rows_forward<false>(k);
  else
    rows_forward<true>(k);
}

template <class T>
void row_norm_backward(const RowNormGrad<T>& k) {
  if (k.rows * k.n == 0) {
    const int64_t size = k.n == 0 ? 0 : k.groups * (k.n / k.run);
    for (int64_t c = 0; c < size; ++c) {
      if (k.gweight != nullptr) k.gweight[c] = 0;
      if (k.gbias != nullptr) k.gbias[c] = 0;
    }
    return;
  }
  const bool streamed = is_streamed<T>(k.rows * k.n);
  const bool activated = k.activation != Activation::none;
  if (k.run < kShortRun)
    activated ? short_runs_backward<true>(k, streamed) : short_runs_backward<false>(k, streamed);
  else
    activated ? long_runs_backward<true>(k, streamed) : long_runs_backward<false>(k, streamed);
}

EINKORN_INSTANTIATE_STORED(row_norm_forward, RowNorm)
EINKORN_INSTANTIATE_STORED(row_norm_backward, RowNormGrad)

}  // namespace einkorn::EINKORN_ISA
