// softmax and log_softmax.
//
// Two layouts. Rows (inner = 1) lie contiguous: vectors run along the row, and a row that was read from memory for its
// maximum comes from L1 or L2 in the passes after. Columns (inner > 1) are side by side: vectors run across columns, a
// strip of them at a time, and nothing is reduced over lanes.
//
//      rows         x x x x x x x x | x x ...       max, then exp and sum, then scale
//
//      columns      x x x x . . . .                 four vectors wide, so that each cache line of x is used whole;
//                   x x x x . . . .                 max, exp and sum, scale go down the strip
//                   x x x x . . . .
//
// measured, float, avx512, 2 threads, ms                 [4096, 1024]    [8192, 10]    [64, 21, 4096] along 21
//   PyTorch 2.13, softmax                                  0.91            0.51          2.0
//   softmax                                                0.59            0.06          1.7
//   log_softmax                                            0.66            0.10          1.6
//   softmax, backward                                      0.72            0.02          1.7
//
// versions tried, [2048, 1024] of 8 MB in the last cache, Zen 4, 2 threads, ms           softmax   log_softmax   copy
//   exp with its reduction in two parts; each row waited for                                0.47          0.48   0.11
//   exp to base 2, the next row fetched while this one's exponentials are taken             0.28          0.44   0.10
//   x f - m f for (x - m) f, its floor left to the instruction that scales (14 instead of 16 slots of the adders and multipliers)
//   by turns, least of many, ms: before 0.320 and 0.320; three rows in one loop 0.44 and 0.50 (64 MB: 4.9 to 4.4, and 4.2 to 4.5)
// One core of Emerald Rapids, 64 MB, ms: log_softmax row by row 8.7, as softmax does now, in one walk with its neighbours, 7.2 (a copy 6.8).
// Counted for a vector of softmax: 8 cycles for the multiply-adds, of which a core starts one in a cycle, 2 for the maximum, 4 to
// scale what was stored, against 8 for a copy: a little more than half the copy rate is what arithmetic leaves. At 64 MB, three rows
// together, memory binds.

#include "kernels/softmax.h"

#include "kernels/instantiate.h"
#include "simd/lanes.h"
#include "simd/math.h"
#include "simd/stream.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr int64_t kSoftmaxTask = 16384;  // elements
constexpr int kStrip = 4;                // vectors side by side
constexpr int64_t kKept = 2048;          // elements of a row that leaves room for another in the L1 cache

// Calls body(row) for each of `rows` rows of n elements, in tasks of about kSoftmaxTask elements.
template <class Body>
EINKORN_INLINE void for_each_row(const Workspace& ws, int64_t rows, int64_t n, double cost, const Body& body) {
  const int64_t rows_per_task = n < kSoftmaxTask ? kSoftmaxTask / n : 1;
  parallel_for(ws, (rows + rows_per_task - 1) / rows_per_task, cost * static_cast<double>(rows_per_task * n),
               [&](int64_t task, int) {
                 const int64_t begin = task * rows_per_task;
                 const int64_t end = begin + rows_per_task < rows ? begin + rows_per_task : rows;
                 for (int64_t r = begin; r < end; ++r) body(r);
               });
}

// Calls body(offset, columns, vectors) for each strip of columns: `offset` of its first element, how many columns it
// has, and as a type how many vectors hold them. Only a strip of one vector may be partly filled.
template <int N>
struct Vectors {};

template <class T, class Body>
EINKORN_INLINE void for_each_strip(const Workspace& ws, int64_t outer, int64_t n, int64_t inner, double cost,
                                   const Body& body) {
  constexpr int64_t wide = kStrip * kLanes<T>;
  const int64_t whole = inner / wide;
  const int64_t strips = whole + (inner - whole * wide + kLanes<T> - 1) / kLanes<T>;
  for_each_row(ws, outer * strips, n * (inner < wide ? inner : wide), cost, [&](int64_t r) {
    const int64_t block = r / strips * n * inner, strip = r % strips;
    if (strip < whole) {
      body(block + strip * wide, kLanes<T>, Vectors<kStrip>{});
    } else {
      const int64_t column = whole * wide + (strip - whole) * kLanes<T>;
      body(block + column, inner - column < kLanes<T> ? inner - column : kLanes<T>, Vectors<1>{});
    }
  });
}

template <class T>
EINKORN_INLINE bool is_large(const Softmax<T>& k) {
  return k.outer * k.n * static_cast<int64_t>(sizeof(T)) >= kStreamFrom;
}

template <class T>
EINKORN_INLINE T scalar_log(T x) {
  return log(broadcast(x))[0];
}

template <class T>
EINKORN_INLINE T row_max(const T* x, int64_t n) {
  const Vec<T> lowest = broadcast(-(T)INFINITY);
  Vec<T> m[4] = {lowest, lowest, lowest, lowest};
  int64_t i = 0;
  for (; i + 4 * kLanes<T> <= n; i += 4 * kLanes<T>)
    EINKORN_UNROLL for (int l = 0; l < 4; ++l) m[l] = maximum(load(x + i + l * kLanes<T>), m[l]);
  for (; i + kLanes<T> <= n; i += kLanes<T>) m[0] = maximum(load(x + i), m[0]);
  if (i < n) {
    const IntVec<T> live = first_lanes<T>(n - i);
    m[1] = maximum(live ? load_partial(x + i, n - i) : lowest, m[1]);
  }
  return max_lanes<T>(maximum(maximum(m[0], m[1]), maximum(m[2], m[3])));
}

// Sum over a row of term(i, n), n live lanes; a term is zero in the others. In blocks, so that few additions build on one
// another.
template <class T, class Term>
EINKORN_INLINE T row_sum(int64_t n, const Term& term) {
  constexpr int64_t step = 4 * kLanes<T>, block = 32 * step;
  Vec<T> total = {};
  int64_t i = 0;
  while (i + step <= n) {
    const int64_t end = i + block <= n ? i + block : i + (n - i) / step * step;
    Vec<T> sum[4] = {};
    for (; i < end; i += step)
      EINKORN_UNROLL for (int l = 0; l < 4; ++l) sum[l] += term(i + l * kLanes<T>, static_cast<int64_t>(kLanes<T>));
    total += (sum[0] + sum[1]) + (sum[2] + sum[3]);
  }
  for_vectors<T>(n - i, [&](int64_t j, int64_t m) { total += term(i + j, m); });
  return sum_lanes<T>(total);
}

// exp(d) of differences from a maximum: float to base 2, where the reduction costs less.
EINKORN_INLINE Vec<float> weight(Vec<float> d) {
  return exp2_nonpositive(d * 1.44269504f);
}

EINKORN_INLINE Vec<double> weight(Vec<double> d) {
  return exp(d);
}

// exp(x - m) for one m. float, where there is a multiply-add: 2^(x f - m f); that m f was rounded multiplies all weights of a row
// alike, by 2^error. Beyond 2^30, where the error alone might overflow, neighbouring numbers are 128 and more apart, so that any f
// that is not too small gives 1 to m and 0 to all others; a power of two makes no error.
template <class T>
struct Weights {
  T m;

  EINKORN_INLINE explicit Weights(T maximum) : m(maximum) {}
  EINKORN_INLINE Vec<T> of(Vec<T> x) const { return weight(x - m); }
  EINKORN_INLINE T log_of(T sum) const { return scalar_log(sum); }  // of the sum, as exp(x - m) would have given it
};

#if defined(__FMA__) || defined(__aarch64__)
template <>
struct Weights<float> {
  float factor, summand, error;

  EINKORN_INLINE explicit Weights(float m) {
    const float size = __builtin_fabsf(m);
    const bool is_huge = size > 0x1p30f && size < __builtin_inff();
    factor = is_huge ? (size > 0x1p125f ? 0x1p-8f : 4) : 1.44269504f;
    summand = -(m * factor);
    error = is_huge ? 0 : __builtin_fmaf(m, factor, summand);
  }
  EINKORN_INLINE Vec<float> of(Vec<float> x) const { return exp2_nonpositive(x * factor + summand); }
  EINKORN_INLINE float log_of(float sum) const { return scalar_log(sum) - error * 0.693147181f; }
};
#endif

// Sum of exp(x - m) over a row; keep(i, n, e) receives the exponentials. Meanwhile the row at `next` comes to the cache: its maximum
// is what the work on it begins with, and would wait for memory.
template <class T, class Keep>
EINKORN_INLINE T row_exp_sum(const T* x, int64_t n, const Weights<T>& weights, const T* next, const Keep& keep) {
  return row_sum<T>(n, [&](int64_t i, int64_t live) EINKORN_LAMBDA {
    __builtin_prefetch(next + i);
    const Vec<T> e = weights.of(load_n(x + i, live));
    keep(i, live, e);
    return live == kLanes<T> ? e : (first_lanes<T>(live) ? e : Vec<T>{});
  });
}

// Large results go past the caches. While a row's weights are summed, the row before it, whose sum is known, is stored, and the row
// after it is read for its maximum: memory is read and written at all times. softmax keeps the weights in the L1 cache, to scale them;
// log_softmax takes the row itself again.
template <bool kLog, class T>
void streamed_rows(const Softmax<T>& k) {
  constexpr int64_t L = kLanes<T>;
  const int64_t n = k.n, each = kSoftmaxTask / n;
  parallel_for(k.ws, (k.outer + each - 1) / each, 0.5 * static_cast<double>(each * n), [&](int64_t task, int) {
    alignas(kVectorBytes) T room[2][kLog ? 1 : kKept];
    const int64_t begin = task * each, end = begin + each < k.outer ? begin + each : k.outer;
    const Vec<T> lowest = broadcast(-(T)INFINITY);
    // Of the row before: what is stored of it, and what it is scaled by or lessened by.
    const T* former = nullptr;
    T most = row_max(k.x + begin * n, n), former_most = 0, sum_of_former = 0;
    const auto last_step = [&](int64_t i) EINKORN_LAMBDA {
      const Vec<T> v = load(former + i);
      return kLog ? v - former_most - sum_of_former : v * sum_of_former;
    };
    for (int64_t r = begin; r < end; ++r) {
      const Weights<T> weights(most);
      const T* const x = k.x + r * n;
      const T* const next = r + 1 < end ? x + n : x;
      T *const kept = room[r & 1], *const out = k.out + (r - 1) * n;
      Vec<T> high[2] = {lowest, lowest};
      const T sum = row_sum<T>(n, [&](int64_t i, int64_t) EINKORN_LAMBDA {
        ask_a_page_ahead(next + i);
        Vec<T>& so_far = high[i / L & 1];
        so_far = maximum(load(next + i), so_far);
        const Vec<T> e = weights.of(load(x + i));
        if (!kLog) store(kept + i, e);
        if (r > begin) stream(out + i, last_step(i));
        return e;
      });
      former = kLog ? x : kept;
      former_most = most;
      sum_of_former = kLog ? weights.log_of(sum) : 1 / sum;
      most = max_lanes<T>(maximum(high[0], high[1]));
    }
    for (int64_t i = 0; i < n; i += L) stream(k.out + (end - 1) * n + i, last_step(i));
    finish_streaming();
  });
}

// Whether rows are stored past the caches, each while its neighbours are read.
template <class T>
bool has_streamed_rows(const Softmax<T>& k) {
  return is_large(k) && reinterpret_cast<uintptr_t>(k.out) % kVectorBytes == 0 && k.n % kLanes<T> == 0 && k.n <= kKept;
}

}  // namespace

template <class T>
void softmax_forward(const Softmax<T>& k) {
  if (k.outer * k.n * k.inner == 0) return;
  if (k.inner == 1) {
    if (has_streamed_rows(k)) return streamed_rows<false>(k);
    for_each_row(k.ws, k.outer, k.n, 0.5, [&](int64_t r) {
      const T* x = k.x + r * k.n;
      const T* next = r + 1 < k.outer && k.n <= kKept ? x + k.n : x;
      T* out = k.out + r * k.n;
      const Weights<T> weights(row_max(x, k.n));
      const T scale =
          1 / row_exp_sum(x, k.n, weights, next, [&](int64_t i, int64_t n, Vec<T> e) { store_n(out + i, n, e); });
      for_vectors<T>(k.n, [&](int64_t i, int64_t n) { store_n(out + i, n, load_n(out + i, n) * scale); });
    });
    return;
  }
  for_each_strip<T>(k.ws, k.outer, k.n, k.inner, 0.5, [&]<int N>(int64_t offset, int64_t columns, Vectors<N>) {
    const T* x = k.x + offset;
    T* out = k.out + offset;
    Vec<T> m[N], sum[N];
    EINKORN_UNROLL for (int l = 0; l < N; ++l) m[l] = broadcast(-(T)INFINITY), sum[l] = Vec<T>{};
    for (int64_t c = 0; c < k.n; ++c)
      EINKORN_UNROLL for (int l = 0; l < N; ++l) m[l] = maximum(load_n(x + c * k.inner + l * kLanes<T>, columns), m[l]);
    for (int64_t c = 0; c < k.n; ++c) EINKORN_UNROLL for (int l = 0; l < N; ++l) {
        const Vec<T> e = weight(load_n(x + c * k.inner + l * kLanes<T>, columns) - m[l]);
        sum[l] += e;
        store_n(out + c * k.inner + l * kLanes<T>, columns, e);
      }
    EINKORN_UNROLL for (int l = 0; l < N; ++l) sum[l] = 1 / sum[l];
    for (int64_t c = 0; c < k.n; ++c) EINKORN_UNROLL for (int l = 0; l < N; ++l) {
        T* o = out + c * k.inner + l * kLanes<T>;
        store_n(o, columns, load_n(o, columns) * sum[l]);
      }
  });
}

template <class T>
void log_softmax_forward(const Softmax<T>& k) {
  if (k.outer * k.n * k.inner == 0) return;
  if (k.inner == 1) {
    if (has_streamed_rows(k)) return streamed_rows<true>(k);
    const bool streamed = is_large(k);
    for_each_row(k.ws, k.outer, k.n, 0.5, [&](int64_t r) {
      const T* x = k.x + r * k.n;
      T* out = k.out + r * k.n;
      const T* next = r + 1 < k.outer && k.n <= kKept ? x + k.n : x;
      const T m = row_max(x, k.n);
      const Weights<T> weights(m);
      const T log_sum = weights.log_of(row_exp_sum(x, k.n, weights, next, [](int64_t, int64_t, Vec<T>) {}));
      write_run(out, k.n, streamed,
                [&](int64_t i, int64_t n) EINKORN_LAMBDA { return load_n(x + i, n) - m - log_sum; });
      if (streamed) finish_streaming();
    });
    return;
  }
  for_each_strip<T>(k.ws, k.outer, k.n, k.inner, 0.5, [&]<int N>(int64_t offset, int64_t columns, Vectors<N>) {
    const T* x = k.x + offset;
    T* out = k.out + offset;
    Vec<T> m[N], sum[N];
    EINKORN_UNROLL for (int l = 0; l < N; ++l) m[l] = broadcast(-(T)INFINITY), sum[l] = Vec<T>{};
    for (int64_t c = 0; c < k.n; ++c)
      EINKORN_UNROLL for (int l = 0; l < N; ++l) m[l] = maximum(load_n(x + c * k.inner + l * kLanes<T>, columns), m[l]);
    for (int64_t c = 0; c < k.n; ++c)
      EINKORN_UNROLL for (int l = 0; l < N; ++l) sum[l] +=
          weight(load_n(x + c * k.inner + l * kLanes<T>, columns) - m[l]);
    EINKORN_UNROLL for (int l = 0; l < N; ++l) sum[l] = log(sum[l]);
    for (int64_t c = 0; c < k.n; ++c) EINKORN_UNROLL for (int l = 0; l < N; ++l) {
        const int64_t at = c * k.inner + l * kLanes<T>;
        store_n(out + at, columns, load_n(x + at, columns) - m[l] - sum[l]);
      }
  });
}

template <class T>
void softmax_backward(const SoftmaxGrad<T>& k) {
  if (k.outer * k.n * k.inner == 0) return;
  if (k.inner == 1) {
    for_each_row(k.ws, k.outer, k.n, 0.3, [&](int64_t r) {
      const T* g = k.g + r * k.n;
      const T* y = k.y + r * k.n;
      T* gx = k.gx + r * k.n;
      const T dot = row_sum<T>(k.n, [&](int64_t i, int64_t n) { return load_n(g + i, n) * load_n(y + i, n); });
      for_vectors<T>(k.n,
                     [&](int64_t i, int64_t n) { store_n(gx + i, n, (load_n(g + i, n) - dot) * load_n(y + i, n)); });
    });
    return;
  }
  for_each_strip<T>(k.ws, k.outer, k.n, k.inner, 0.3, [&]<int N>(int64_t offset, int64_t columns, Vectors<N>) {
    const T* g = k.g + offset;
    const T* y = k.y + offset;
    T* gx = k.gx + offset;
    Vec<T> dot[N] = {};
    for (int64_t c = 0; c < k.n; ++c) EINKORN_UNROLL for (int l = 0; l < N; ++l) {
        const int64_t at = c * k.inner + l * kLanes<T>;
        dot[l] += load_n(g + at, columns) * load_n(y + at, columns);
      }
    for (int64_t c = 0; c < k.n; ++c) EINKORN_UNROLL for (int l = 0; l < N; ++l) {
        const int64_t at = c * k.inner + l * kLanes<T>;
        store_n(gx + at, columns, (load_n(g + at, columns) - dot[l]) * load_n(y + at, columns));
      }
  });
}

template <class T>
void log_softmax_backward(const SoftmaxGrad<T>& k) {
  if (k.outer * k.n * k.inner == 0) return;
  if (k.inner == 1) {
    for_each_row(k.ws, k.outer, k.n, 0.5, [&](int64_t r) {
      const T* g = k.g + r * k.n;
      const T* y = k.y + r * k.n;
      T* gx = k.gx + r * k.n;
      const T sum = row_sum<T>(k.n, [&](int64_t i, int64_t n) { return load_n(g + i, n); });
      for_vectors<T>(k.n,
                     [&](int64_t i, int64_t n) { store_n(gx + i, n, load_n(g + i, n) - exp(load_n(y + i, n)) * sum); });
    });
    return;
  }
  for_each_strip<T>(k.ws, k.outer, k.n, k.inner, 0.5, [&]<int N>(int64_t offset, int64_t columns, Vectors<N>) {
    const T* g = k.g + offset;
    const T* y = k.y + offset;
    T* gx = k.gx + offset;
    Vec<T> sum[N] = {};
    for (int64_t c = 0; c < k.n; ++c)
      EINKORN_UNROLL for (int l = 0; l < N; ++l) sum[l] += load_n(g + c * k.inner + l * kLanes<T>, columns);
    for (int64_t c = 0; c < k.n; ++c) EINKORN_UNROLL for (int l = 0; l < N; ++l) {
        const int64_t at = c * k.inner + l * kLanes<T>;
        store_n(gx + at, columns, load_n(g + at, columns) - exp(load_n(y + at, columns)) * sum[l]);
      }
  });
}

EINKORN_INSTANTIATE(softmax_forward, Softmax)
EINKORN_INSTANTIATE(softmax_backward, SoftmaxGrad)
EINKORN_INSTANTIATE(log_softmax_forward, Softmax)
EINKORN_INSTANTIATE(log_softmax_backward, SoftmaxGrad)

}  // namespace einkorn::EINKORN_ISA
