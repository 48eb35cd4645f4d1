// Losses.
//
// Cross-entropy reads a row of logits once: every lane keeps the largest number it has met, m, and the sum s of exp(x -
// m) so far, and takes in eight vectors at a time, so that moving s to a new m costs one exp in nine.
//
//      x     | 8 vectors | 8 vectors | ...      m' = max(m, the eight)
//      m, s    one vector each                  s' = s exp(m - m') + sum of exp(x - m')
//
// In the end M = max of the lanes' m, S = sum of s exp(m - M), lse = M + log S. The row's loss is log S - (x[t] - M),
// which does not lose the digits that lse rounds off. The backward is one pass, exp(x - lse) times a number; results
// beyond the last cache are streamed to memory (simd/stream.h). Limit: 412 MB read forward, 412 read and 412 written
// backward, at the memory's 36 GB/s 34 ms.
//
// versions, 2048 x 50257 float, avx512, 2 threads, in ms            forward    backward
//   PyTorch 2.13                                                      122        217
//   one vector at a time: two exp for each                            17.5
//   eight at a time, the maximum and the sum down a chain             20.4
//   eight at a time, maximum and sum as trees; ordinary stores        15.6       18.9
//   and streamed stores                                               15.6       15.2
// and 32 x 10, forward and backward by Python, one thread of Emerald Rapids, the least of many, in us
//   the logarithm of each row for itself                              33.7
//   those of 16 rows together                                         26.9

#include "kernels/loss.h"

#include <float.h>

#include "kernels/instantiate.h"
#include "simd/lanes.h"
#include "simd/math.h"
#include "simd/stream.h"

namespace einkorn::EINKORN_ISA {

namespace {

template <class T>
constexpr T kLowest = sizeof(T) == 4 ? static_cast<T>(-FLT_MAX) : static_cast<T>(-DBL_MAX);

// Shares below the least normal number become 0: the products that take the gradient next pay over a hundred cycles for each
// number below it on Intel's processors (2048 rows, width 768, 50,257 classes with logits of deviation 28: 33 s instead of 2).
template <class T>
constexpr T kLeast = static_cast<T>(sizeof(T) == 4 ? FLT_MIN : DBL_MIN);
template <class T>
constexpr T kNaN = static_cast<T>(__builtin_nan(""));

// ---- cross-entropy ----

template <class T>
EINKORN_INLINE T scalar_log(T x) {
  return log(broadcast(x))[0];
}

// max and sum of exp(x - max) of what was read so far, lane by lane.
template <class T>
struct RunningSum {
  Vec<T> m = broadcast(kLowest<T>);
  Vec<T> s = {};

  template <int N>
  EINKORN_INLINE void take(const Vec<T> (&x)[N]) {
    Vec<T> top[N], e[N];
    EINKORN_UNROLL for (int l = 0; l < N; ++l) top[l] = x[l];
    EINKORN_UNROLL for (int half = N / 2; half > 0; half /= 2) for (int l = 0; l < half; ++l) top[l] =
        maximum(top[l + half], top[l]);
    const Vec<T> next = maximum(top[0], m);  // keeps m against a NaN, which then shows in the sum
    EINKORN_UNROLL for (int l = 0; l < N; ++l) e[l] = exp(x[l] - next);
    EINKORN_UNROLL for (int half = N / 2; half > 0; half /= 2) for (int l = 0; l < half; ++l) e[l] += e[l + half];
    s = s * exp(m - next) + e[0];
    m = next;
  }
};

template <class T>
struct RowSum {
  T max, log_sum;
};

template <class T>
EINKORN_INLINE RowSum<T> row_log_sum(const T* x, int64_t n) {
  constexpr int kGroup = 8;
  RunningSum<T> run;
  int64_t i = 0;
  for (; i + kGroup * kLanes<T> <= n; i += kGroup * kLanes<T>) {
    Vec<T> group[kGroup];
    EINKORN_UNROLL for (int l = 0; l < kGroup; ++l) group[l] = load(x + i + l * kLanes<T>);
    run.take(group);
  }
  for (; i + kLanes<T> <= n; i += kLanes<T>) {
    const Vec<T> one[1] = {load(x + i)};
    run.take(one);
  }
  if (i < n) {
    const IntVec<T> live = first_lanes<T>(n - i);
    const Vec<T> one[1] = {live ? load_partial(x + i, n - i) : broadcast(-(T)INFINITY)};
    run.take(one);
  }
  const T max = max_lanes<T>(run.m);
  return {max, scalar_log(sum_lanes<T>(run.s * exp(run.m - max)))};
}

// Rows of at most a vector, all of them before their logarithms, which are then taken a vector of rows at a time: one row's would be
// waited for alone. The bits are those of row_log_sum. lse gets the maxima and losses the logarithms.
template <class T>
EINKORN_INLINE void short_log_sums(const CrossEntropyForward<T>& k, int64_t begin, int64_t end) {
  const IntVec<T> live = first_lanes<T>(k.n);
  for (int64_t r = begin; r < end; ++r) {
    const Vec<T> x = live ? load_partial(k.logits + r * k.n, k.n) : broadcast(-(T)INFINITY);
    const T max = max_lanes<T>(maximum(x, broadcast(kLowest<T>)));
    k.lse[r] = max;
    k.losses[r] = sum_lanes<T>(exp(x - max));
  }
  for_vectors<T>(end - begin, [&, sums = k.losses + begin](int64_t i, int64_t n) {
    store_n(sums + i, n, log(load_n(sums + i, n)));
  });
}

// sum of w[c] (x[c] - m), w = 1 without weights: what label smoothing adds.
template <class T>
EINKORN_INLINE T weighted_sum(const T* x, const T* w, int64_t n, T m) {
  Vec<T> sum[4] = {};
  const auto term = [&](int64_t i, int64_t live) __attribute__((always_inline)) {
    const Vec<T> d = load_n(x + i, live) - m;
    if (w != nullptr) return d * load_n(w + i, live);
    return live == kLanes<T> ? d : (first_lanes<T>(live) ? d : Vec<T>{});
  };
  int64_t i = 0;
  for (; i + 4 * kLanes<T> <= n; i += 4 * kLanes<T>)
    EINKORN_UNROLL for (int l = 0; l < 4; ++l) sum[l] += term(i + l * kLanes<T>, kLanes<T>);
  for_vectors<T>(n - i, [&](int64_t j, int64_t live) { sum[0] += term(i + j, live); });
  return sum_lanes<T>((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

template <class T>
EINKORN_INLINE T total_class_weight(const T* w, int64_t n) {
  if (w == nullptr) return static_cast<T>(n);
  double sum = 0;
  for (int64_t c = 0; c < n; ++c) sum += w[c];
  return static_cast<T>(sum);
}

// In eight sums side by side, so that one addition need not wait for the other.
template <class T>
EINKORN_INLINE double sum_in_double(const T* x, int64_t n) {
  double sum[8] = {};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (int l = 0; l < 8; ++l) sum[l] += x[i + l];
  for (; i < n; ++i) sum[0] += x[i];
  return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

template <class Body>
EINKORN_INLINE void for_logit_rows(const Workspace& ws, int64_t rows, int64_t n, const Body& body) {
  const int64_t rows_per_task = n < kLossBlock ? kLossBlock / (n + 16) + 1 : 1;
  parallel_for(ws, (rows + rows_per_task - 1) / rows_per_task, 0.4 * static_cast<double>(rows_per_task * (n + 16)),
               [&](int64_t task, int) {
                 const int64_t begin = task * rows_per_task;
                 body(begin, begin + rows_per_task < rows ? begin + rows_per_task : rows);
               });
}

// out[i] = value(i, live lanes) for a row of n; streamed: past the caches.
template <class T, class Value>
EINKORN_INLINE void write_row(T* out, int64_t n, bool streamed, const Value& value) {
  if (!streamed) {
    for_vectors<T>(n, [&](int64_t i, int64_t live) { store_n(out + i, live, value(i, live)); });
    return;
  }
  int64_t i = unaligned_elements(out, n);
  if (i > 0) store_partial(out, i, value(0, i));
  for (; i + kLanes<T> <= n; i += kLanes<T>) stream(out + i, value(i, static_cast<int64_t>(kLanes<T>)));
  if (i < n) store_partial(out + i, n - i, value(i, n - i));
}

// ---- sums of elementwise losses ----

// body(begin, size) for each block of a loss.
template <class T, class Args, class Body>
EINKORN_INLINE void for_loss_blocks(const Args& k, double cost, const Body& body) {
  parallel_for(k.ws, (k.size + kLossBlock - 1) / kLossBlock, cost * kLossBlock, [&](int64_t block, int) {
    const int64_t begin = block * kLossBlock;
    body(begin, k.size - begin < kLossBlock ? k.size - begin : kLossBlock);
  });
}

template <class T, class Term>
EINKORN_INLINE void loss_of_each(const LossForward<T>& k, double cost, const Term& term) {
  const T scale = static_cast<T>(k.scale);
  for_loss_blocks<T>(k, cost, [&](int64_t begin, int64_t size) {
    for_vectors<T>(size, [&, x = k.x + begin, t = k.target + begin, loss = k.loss + begin](int64_t i, int64_t n) {
      store_n(loss + i, n, term(load_n(x + i, n), load_n(t + i, n)) * scale);
    });
  });
}

template <class T, class Term>
EINKORN_INLINE void loss_sum(const LossForward<T>& k, double cost, const Term& term) {
  double* const partial = carve<LossParts>(k).partial;
  for_loss_blocks<T>(k, cost, [&](int64_t begin, int64_t size) {
    const T* x = k.x + begin;
    const T* t = k.target + begin;
    Vec<T> sum[4] = {};
    int64_t i = 0;
    for (; i + 4 * kLanes<T> <= size; i += 4 * kLanes<T>)
      EINKORN_UNROLL for (int l = 0; l < 4; ++l) sum[l] +=
          term(load(x + i + l * kLanes<T>), load(t + i + l * kLanes<T>));
    for (; i + kLanes<T> <= size; i += kLanes<T>) sum[0] += term(load(x + i), load(t + i));
    if (i < size) {
      const IntVec<T> live = first_lanes<T>(size - i);
      sum[1] += live ? term(load_partial(x + i, size - i), load_partial(t + i, size - i)) : Vec<T>{};
    }
    partial[begin / kLossBlock] = sum_lanes<T>((sum[0] + sum[1]) + (sum[2] + sum[3]));
  });
  *k.loss = static_cast<T>(k.scale * sum_in_double(partial, (k.size + kLossBlock - 1) / kLossBlock));
}

template <class T, class Slope>
EINKORN_INLINE void loss_grad(const LossBackward<T>& k, double cost, const Slope& slope) {
  const Vec<T> scale = broadcast(static_cast<T>(k.scale));
  const Vec<T> g = k.each ? scale : scale * *k.gloss;
  for_loss_blocks<T>(k, cost, [&](int64_t begin, int64_t size) {
    const T* x = k.x + begin;
    const T* t = k.target + begin;
    const T* gloss = k.gloss + begin;
    T* gx = k.gx + begin;
    if (k.each)
      for_vectors<T>(size, [&](int64_t i, int64_t n) {
        store_n(gx + i, n, slope(load_n(x + i, n), load_n(t + i, n)) * (g * load_n(gloss + i, n)));
      });
    else
      for_vectors<T>(size,
                     [&](int64_t i, int64_t n) { store_n(gx + i, n, slope(load_n(x + i, n), load_n(t + i, n)) * g); });
  });
}

template <class T>
EINKORN_INLINE Vec<T> sign_of(Vec<T> d) {  // 0 and NaN stay
  return d > 0 ? broadcast(T{1}) : (d < 0 ? broadcast(T{-1}) : d);
}

template <class V, class S>
EINKORN_INLINE V no_less(V x, S bound) {  // NaN stays
  return x < bound ? V{} + bound : x;
}

}  // namespace

template <class T>
void cross_entropy_forward(const CrossEntropyForward<T>& k) {
  const T smooth = k.n > 0 ? k.label_smoothing / static_cast<T>(k.n) : 0;
  const T weight_sum = smooth != 0 ? total_class_weight(k.class_weight, k.n) : 0;
  const bool short_rows = k.n <= kLanes<T>;
  for_logit_rows(k.ws, k.rows, k.n, [&](int64_t begin, int64_t end) {
    if (short_rows) short_log_sums(k, begin, end);
    for (int64_t r = begin; r < end; ++r) {
      const T* x = k.logits + r * k.n;
      const int64_t t = k.target[r];
      const RowSum<T> row = short_rows ? RowSum<T>{k.lse[r], k.losses[r]} : row_log_sum(x, k.n);
      k.lse[r] = row.max + row.log_sum;
      if (t == k.ignore_index) {
        k.losses[r] = 0;
        k.row_weight[r] = 0;
      } else if (t < 0 || t >= k.n) {
        k.losses[r] = kNaN<T>;
        k.row_weight[r] = kNaN<T>;
      } else {
        const T w = k.class_weight != nullptr ? k.class_weight[t] : 1;
        T loss = w * (row.log_sum - (x[t] - row.max));
        if (smooth != 0)
          loss = (1 - k.label_smoothing) * loss +
                 smooth * (weight_sum * row.log_sum - weighted_sum(x, k.class_weight, k.n, row.max));
        k.losses[r] = loss;
        k.row_weight[r] = w;
      }
    }
  });
  const double weight = sum_in_double(k.row_weight, k.rows);
  *k.total_weight = static_cast<T>(weight);
  if (k.reduction == Reduction::none) return;
  const double sum = sum_in_double(k.losses, k.rows);
  *k.loss = static_cast<T>(k.reduction == Reduction::mean ? sum / weight : sum);
}

template <class T>
void cross_entropy_backward(const CrossEntropyBackward<T>& k) {
  const T smooth = k.n > 0 ? k.label_smoothing / static_cast<T>(k.n) : 0;
  const T weight_sum = smooth != 0 ? total_class_weight(k.class_weight, k.n) : 0;
  const bool streamed = k.rows * k.n * static_cast<int64_t>(sizeof(T)) >= kStreamFrom;
  for_logit_rows(k.ws, k.rows, k.n, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T* x = k.logits + r * k.n;
      T* out = k.glogits + r * k.n;
      const int64_t t = k.target[r];
      if (t == k.ignore_index || t < 0 || t >= k.n) {
        const Vec<T> value = broadcast(t == k.ignore_index ? T{0} : kNaN<T>);
        write_row(out, k.n, streamed, [&](int64_t, int64_t) { return value; });
        continue;
      }
      const T g = k.reduction == Reduction::none   ? k.gloss[r]
                  : k.reduction == Reduction::mean ? *k.gloss / *k.total_weight
                                                   : *k.gloss;
      const T at_target = g * (1 - k.label_smoothing) * k.row_weight[r];
      const T probability = at_target + g * smooth * weight_sum;
      const T everywhere = g * smooth;
      const T lse = k.lse[r], x_t = x[t];
      if (smooth == 0)
        write_row(out, k.n, streamed, [&](int64_t i, int64_t n) {
          const Vec<T> share = exp(load_n(x + i, n) - lse) * probability;
          return absolute(share) < kLeast<T> ? Vec<T>{} : share;
        });
      else if (k.class_weight == nullptr)
        write_row(out, k.n, streamed,
                  [&](int64_t i, int64_t n) { return exp(load_n(x + i, n) - lse) * probability - everywhere; });
      else
        write_row(out, k.n, streamed, [&](int64_t i, int64_t n) {
          return exp(load_n(x + i, n) - lse) * probability - load_n(k.class_weight + i, n) * everywhere;
        });
      const T w_t = k.class_weight != nullptr ? k.class_weight[t] : 1;
      out[t] = exp(broadcast(x_t) - lse)[0] * probability - at_target - w_t * everywhere;
    }
    if (streamed) finish_streaming();
  });
}

template <class T>
void nll_forward(const NllForward<T>& k) {
  for (int64_t r = 0; r < k.rows; ++r) {  // a few loads a row: less than waking a thread
    const int64_t t = k.target[r];
    const bool counts = t >= 0 && t < k.n, ignored = t == k.ignore_index;
    const T w = ignored ? 0 : !counts ? kNaN<T> : k.class_weight != nullptr ? k.class_weight[t] : 1;
    k.row_weight[r] = w;
    k.losses[r] = ignored ? 0 : !counts ? kNaN<T> : -w * k.x[(r / k.inner * k.n + t) * k.inner + r % k.inner];
  }
  const double weight = sum_in_double(k.row_weight, k.rows);
  *k.total_weight = static_cast<T>(weight);
  if (k.reduction == Reduction::none) return;
  const double sum = sum_in_double(k.losses, k.rows);
  *k.loss = static_cast<T>(k.reduction == Reduction::mean ? sum / weight : sum);
}

template <class T>
void nll_backward(const NllBackward<T>& k) {
  const int64_t outer = k.inner > 0 ? k.rows / k.inner : 0, size = k.n * k.inner;
  const bool streamed = outer * size * static_cast<int64_t>(sizeof(T)) >= kStreamFrom;
  for_logit_rows(k.ws, outer, size, [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) {
      T* const out = k.gx + o * size;
      write_row(out, size, streamed, [&](int64_t, int64_t) { return Vec<T>{}; });
      for (int64_t i = 0; i < k.inner; ++i) {
        const int64_t r = o * k.inner + i, t = k.target[r];
        if (t < 0 || t >= k.n || k.row_weight[r] == 0) continue;
        const T g = k.reduction == Reduction::none   ? k.gloss[r]
                    : k.reduction == Reduction::mean ? *k.gloss / *k.total_weight
                                                     : *k.gloss;
        out[t * k.inner + i] = -g * k.row_weight[r];
      }
    }
    if (streamed) finish_streaming();
  });
}

EINKORN_INSTANTIATE(nll_forward, NllForward)
EINKORN_INSTANTIATE(nll_backward, NllBackward)
EINKORN_INSTANTIATE(cross_entropy_forward, CrossEntropyForward)
EINKORN_INSTANTIATE(cross_entropy_backward, CrossEntropyBackward)

#define EINKORN_LOSS(name, cost, term, slope)                                             \
  template <class T>                                                                      \
  void name##_forward(const LossForward<T>& k) {                                          \
    const auto of = [&](Vec<T> x, Vec<T> t) __attribute__((always_inline)) -> Vec<T> {    \
      [[maybe_unused]] const T beta = static_cast<T>(k.beta);                             \
      return term;                                                                        \
    };                                                                                    \
    k.each ? loss_of_each(k, cost, of) : loss_sum(k, cost, of);                           \
  }                                                                                       \
  template <class T>                                                                      \
  void name##_backward(const LossBackward<T>& k) {                                        \
    loss_grad(k, cost, [&](Vec<T> x, Vec<T> t) __attribute__((always_inline)) -> Vec<T> { \
      [[maybe_unused]] const T beta = static_cast<T>(k.beta);                             \
      return slope;                                                                       \
    });                                                                                   \
  }                                                                                       \
  EINKORN_INSTANTIATE(name##_forward, LossForward)                                        \
  EINKORN_INSTANTIATE(name##_backward, LossBackward)

EINKORN_LOSS(mse, 0.15, (x - t) * (x - t), (x - t) * 2)
EINKORN_LOSS(l1, 0.15, absolute(x - t), sign_of<T>(x - t))
EINKORN_LOSS(bce, 1.2, (t - 1) * no_less(log1p(-x), (T)-100) - t * no_less(log(x), (T)-100),
             (x - t) / maximum(x * (1 - x), broadcast((T)1e-12)))
EINKORN_LOSS(bce_with_logits, 1.2, (1 - t) * x + (x < 0 ? -x : Vec<T>{}) + log1p(exp(-absolute(x))), sigmoid(x) - t)
EINKORN_LOSS(smooth_l1, 0.2, ([&] {
               const Vec<T> d = absolute(x - t);
               return d < beta ? d * d * (T(0.5) / beta) : d - T(0.5) * beta;
             }()),
             ([&] {
               const Vec<T> d = x - t;
               return absolute(d) < beta ? d / beta : sign_of<T>(d);
             }()))
EINKORN_LOSS(kl_div, 0.8, (t == 0 ? Vec<T>{} : t * log(t)) - t * x, -t)
EINKORN_LOSS(kl_div_log, 0.8, exp(t) * (t - x), -exp(t))

}  // namespace einkorn::EINKORN_ISA
