// Batch norm over [N, C, L]: planes for long runs, columns for short ones.
//
//   planes    channel c:  | L |.......| L |.......| L |      vectors along the runs. A channel that fits the caches is one
//                         n = 0       n = 1       n = 2      task: moments, then the result, with x read from memory once.
//                                                            Large or few channels are cut into pieces, each with moments
//                                                            of its own, and read twice.
//   columns   [N, C L]    vectors across channels, down chunks of rows; each chunk has moments of its own for each column,
//                         and the L columns of a channel are joined with the chunks.
//
// The gradients take the same two ways, with the sums of g and g xhat in the place of moments.
//
// measured, float, avx512, 2 threads, ms (share of the copy rate)      [32, 64, 32, 32]   [64, 64, 64, 64]
//   training, forward; PyTorch 2.13                                    0.26 (42%) 2.1     4.7 (56%) 37
//   evaluation, forward; PyTorch                                       0.13 (84%) 0.23    2.8 (94%) 23
//   training, forward and backward; PyTorch                            2.0  3.5           14.6  68
// The runs of a channel lie C L elements apart, here a power of two: they push one another out of the caches, and the
// walk that writes reads x from farther away than the size of a channel suggests.
//
// versions tried, training, forward, 64 MB and more, Zen 4, one thread, ms                  [64, 64, 56, 56]   [64, 64, 64, 64]
//   a channel after the other (a copy: 2.7, 3.4; a sum: 1.7, 2.5)                           5.7                8.2 to 10.9
//   while a channel is written, the next one is asked for: reading and writing overlap      5.0                8.2 to 10.2
//   runs in the order of memory, all of x read twice: as quick forward, a third slower backward
// A sum and a copy one after the other would take 4.4 and 5.9.
// Kept together in scratch between its two walks, a channel took longer: two threads, by turns, 54 and 55% of the copy's rate at
// [64, 64, 56, 56] and [64, 64, 64, 64], where this has 58 and 63%.
// At 8 MB, one core of Emerald Rapids beside other programs, ms, the least of 25 in three processes:
//                                                                    [32, 64, 32, 32]   [32, 256, 14, 14]   [32, 128, 28, 28]
//   a copy                                                             .58 to .62         .47                 1.03
//   as it is                                                           .66 to .76         .57 to .59          1.29 to 2.17
//   the next block of runs asked for, and the run before while one
//   is written                                                         .76 to .78         .65 to .71          1.22 to 2.31
//   a channel kept together in scratch between its two walks, by
//   turns with (as it is)                                              .75 to .77 (.70 to .81)   .62 to .67 (.61 to .70)   1.13 to 1.21 (1.13 to 1.26)
// Two threads, calm: 31 GB/s of 50.

#include "kernels/instantiate.h"
#include "kernels/norm/moments.h"
#include "kernels/norm/norm_parts.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr double kCost = 0.25, kGradCost = 0.4;  // ns an element on one core

EINKORN_INLINE int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

// Calls body(offset, channel, size) for all runs in the order in which they lie, long ones in parts; end() after each task.
template <class Shape, class Body, class End>
EINKORN_INLINE void for_all_runs(const Shape& k, double cost, const Body& body, const End& end) {
  const int64_t part = smaller(k.length, 4 * kNormTask), parts = norm_divide_up(k.length, part);
  const int64_t all = k.batch * k.channels * parts, each = part < kNormTask ? kNormTask / part : 1;
  parallel_for(k.ws, norm_divide_up(all, each), cost * static_cast<double>(each * part), [&](int64_t task, int) {
    const int64_t last = smaller((task + 1) * each, all);
    for (int64_t q = task * each; q < last; ++q) {
      const int64_t run = q / parts, begin = q % parts * part;
      body(run * k.length + begin, run % k.channels, smaller(part, k.length - begin));
    }
    end();
  });
}

// Calls body(first row, last row, task) for chunks of rows of [N, C L].
template <class Shape, class Body>
EINKORN_INLINE void for_row_chunks(const Shape& k, double cost, const Body& body) {
  const int64_t columns = k.channels * k.length, rows = column_rows(columns);
  parallel_for(k.ws, norm_divide_up(k.batch, rows), cost * static_cast<double>(rows * columns),
               [&](int64_t task, int) { body(task * rows, smaller((task + 1) * rows, k.batch), task); });
}

template <int N>
struct Vectors {};

// Calls body(column, live, Vectors<N>) for strips of columns, four vectors wide and then one.
template <class T, class Body>
EINKORN_INLINE void for_strips(int64_t columns, const Body& body) {
  int64_t j = 0;
  for (; j + 4 * kLanes<T> <= columns; j += 4 * kLanes<T>) body(j, static_cast<int64_t>(kLanes<T>), Vectors<4>{});
  for (; j < columns; j += kLanes<T>) body(j, smaller(kLanes<T>, columns - j), Vectors<1>{});
}

template <class T>
EINKORN_INLINE void store_double(double* out, int64_t live, Vec<T> v) {
  T lane[kLanes<T>];
  store(lane, v);
  for (int64_t i = 0; i < live; ++i) out[i] = lane[i];
}

// --- forward ------------------------------------------------------------------------------------

// What a channel's statistics make of it: (x - centre) factor + summand.
template <class T>
struct Channel {
  Centre<Number<T>> centre;
  Number<T> factor, summand;

  EINKORN_INLINE Channel(const BatchNorm<T>& k, int64_t c)
      : centre(k.mean[c]),
        factor(static_cast<Number<T>>(k.rstd[c] * (k.weight == nullptr ? 1 : static_cast<double>(k.weight[c])))),
        summand(k.bias == nullptr ? 0 : k.bias[c]) {}
};

// Whole channels of a task: while one is written the next, whose runs lie behind its own, comes to the caches, so that memory is
// read and written at once.
inline int64_t channels_together(int64_t channels, bool streamed) {
  const int64_t most = channels / 16;
  return !streamed || most < 1 ? 1 : smaller(most, 8);
}

// What lies `ahead` of x is asked for.
template <bool kActivated, class T>
EINKORN_INLINE void write_channel(const BatchNorm<T>& k, const Channel<T>& channel, int64_t at, int64_t n,
                                  bool streamed, int64_t ahead = 0) {
  const T* x = k.x + at;
  const T* residual = k.residual == nullptr ? nullptr : k.residual + at;
  write_run(k.out + at, n, streamed, [&](int64_t i, int64_t live) EINKORN_LAMBDA {
    if (ahead > 0) __builtin_prefetch(x + i + ahead, 0, 2);
    Vec<Number<T>> v = channel.centre.from(load_n(x + i, live)) * channel.factor + channel.summand;
    if (residual != nullptr) v += load_n(residual + i, live);
    return kActivated ? activate(v, k.activation) : v;
  });
}

template <class T>
EINKORN_INLINE void take_statistics(const BatchNorm<T>& k, int64_t c, double mean, double squares) {
  const double count = static_cast<double>(k.batch * k.length), var = squares / count;
  k.mean[c] = mean;
  k.rstd[c] = 1 / __builtin_sqrt(var + k.eps);
  if (k.running_mean != nullptr)
    k.running_mean[c] = static_cast<Number<T>>((1 - k.momentum) * k.running_mean[c] + k.momentum * mean);
  if (k.running_var != nullptr)
    k.running_var[c] =
        static_cast<Number<T>>((1 - k.momentum) * k.running_var[c] + k.momentum * (squares / (count - 1)));
}

template <class T>
EINKORN_INLINE Moments piece_moments(const BatchNorm<T>& k, const Pieces& pieces, int64_t c, int64_t p) {
  const int64_t step = k.channels * k.length;
  const T* x = k.x + pieces.first_run(p) * step + c * k.length + pieces.begin(p);
  const auto read = [&](int64_t run, int64_t i, int64_t live)
                        EINKORN_LAMBDA { return load_n(x + run * step + i, live); };
  const auto one = [&](int64_t run, int64_t i) { return widened(x[run * step + i]); };
  return moments_of<Number<T>>(pieces.runs_of(p), pieces.length_of(p), one, read, read);
}

template <bool kActivated, class T>
void planes_forward(const BatchNorm<T>& k, bool streamed) {
  if (k.training) {
    const Pieces pieces(k.batch, k.channels, k.length);
    double* partial = carve<BatchNormParts<T>>(k).partial;  // [C, pieces, 2]
    const double cost = kCost * static_cast<double>(pieces.runs * pieces.length);
    if (pieces.count == 1) {
      const int64_t each = channels_together(k.channels, streamed);
      parallel_for(k.ws, norm_divide_up(k.channels, each), cost * static_cast<double>(each), [&](int64_t task, int) {
        const int64_t end = smaller((task + 1) * each, k.channels);
        for (int64_t c = task * each; c < end; ++c) {
          const Moments m = piece_moments(k, pieces, c, 0);
          take_statistics(k, c, m.mean, m.squares);
          const Channel<T> channel(k, c);
          const int64_t ahead = streamed && c + 1 < end ? k.length : 0;
          for (int64_t n = k.batch - 1; n >= 0; --n)  // the last runs are still near
            write_channel<kActivated>(k, channel, (n * k.channels + c) * k.length, k.length, streamed, ahead);
        }
        if (streamed) finish_streaming();
      });
      return;
    }
    parallel_for(k.ws, k.channels * pieces.count, cost, [&](int64_t task, int) {
      const Moments m = piece_moments(k, pieces, task / pieces.count, task % pieces.count);
      partial[2 * task] = m.mean;
      partial[2 * task + 1] = m.squares;
    });
    for (int64_t c = 0; c < k.channels; ++c) {
      Moments total;
      for (int64_t p = 0; p < pieces.count; ++p) {
        const double* m = partial + 2 * (c * pieces.count + p);
        total.add(static_cast<double>(pieces.runs_of(p) * pieces.length_of(p)), m[0], m[1]);
      }
      take_statistics(k, c, total.mean, total.squares);
    }
  }
  for_all_runs(
      k, kCost,
      [&](int64_t at, int64_t c, int64_t n) { write_channel<kActivated>(k, Channel<T>(k, c), at, n, streamed); },
      [&] {
        if (streamed) finish_streaming();
      });
}

template <class T>
void column_statistics(const BatchNorm<T>& k, double* partial) {
  const int64_t columns = k.channels * k.length;
  for_row_chunks(k, kCost, [&](int64_t first, int64_t last, int64_t chunk) {
    double* means = partial + chunk * 2 * columns;
    const Number<T> count = static_cast<Number<T>>(last - first);
    for_strips<Number<T>>(columns, [&]<int N>(int64_t j, int64_t live, Vectors<N>) {
      const T* x = k.x + first * columns + j;
      Vec<Number<T>> shift[N], sum[N] = {}, squares[N] = {};
      EINKORN_UNROLL for (int v = 0; v < N; ++v) shift[v] = load_n(x + v * kLanes<Number<T>>, live);
      for (int64_t r = 0; r < last - first; ++r)
        EINKORN_UNROLL for (int v = 0; v < N; ++v) sum[v] +=
            load_n(x + r * columns + v * kLanes<Number<T>>, live) - shift[v];
      EINKORN_UNROLL for (int v = 0; v < N; ++v) sum[v] /= count;
      for (int64_t r = 0; r < last - first; ++r) EINKORN_UNROLL for (int v = 0; v < N; ++v) {
          const Vec<Number<T>> off = (load_n(x + r * columns + v * kLanes<Number<T>>, live) - shift[v]) - sum[v];
          squares[v] += off * off;
        }
      EINKORN_UNROLL for (int v = 0; v < N; ++v) {
        Number<T> start[kLanes<Number<T>>], more[kLanes<Number<T>>];
        store(start, shift[v]);
        store(more, sum[v]);
        for (int64_t i = 0; i < live; ++i)
          means[j + v * kLanes<Number<T>> + i] = static_cast<double>(start[i]) + static_cast<double>(more[i]);
        store_double<Number<T>>(means + columns + j + v * kLanes<Number<T>>, live, squares[v]);
        if constexpr (sizeof(Number<T>) == 4)
          for (int64_t i = 0; i < live; ++i) {
            const int64_t column = j + v * kLanes<Number<T>> + i;
            if (__builtin_isfinite(means[column]) && __builtin_isfinite(means[columns + column])) continue;
            const auto one = [&](int64_t r, int64_t) { return widened(k.x[r * columns + column]); };
            const Moments m = moments_in_double(first, last, 0, 1, one);
            means[column] = m.mean, means[columns + column] = m.squares;
          }
      }
    });
  });
  const int64_t rows = column_rows(columns), chunks = norm_divide_up(k.batch, rows);
  constexpr int64_t block = 16;  // channels
  parallel_for(
      k.ws, norm_divide_up(k.channels, block), static_cast<double>(block * k.length * chunks), [&](int64_t task, int) {
        for (int64_t c = task * block; c < smaller((task + 1) * block, k.channels); ++c) {
          const double* from = partial + c * k.length;
          double sum = 0, squares = 0;
          const auto count_of = [&](int64_t q) { return static_cast<double>(smaller(rows, k.batch - q * rows)); };
          for (int64_t q = 0; q < chunks; ++q)
            for (int64_t l = 0; l < k.length; ++l) sum += count_of(q) * from[q * 2 * columns + l];
          const double mean = sum / static_cast<double>(k.batch * k.length);
          for (int64_t q = 0; q < chunks; ++q)
            for (int64_t l = 0; l < k.length; ++l) {
              const double off = from[q * 2 * columns + l] - mean;
              squares += from[(q * 2 + 1) * columns + l] + count_of(q) * off * off;
            }
          take_statistics(k, c, mean, squares);
        }
      });
}

template <bool kActivated, class T>
void columns_forward(const BatchNorm<T>& k, bool streamed) {
  const BatchNormParts<T> parts = carve<BatchNormParts<T>>(k);
  if (k.training) column_statistics(k, parts.partial);
  const int64_t columns = k.channels * k.length;
  Number<T>*high = parts.columns, *low = high + columns, *factor = low + columns, *summand = factor + columns;
  for (int64_t c = 0; c < k.channels; ++c) {
    const Channel<T> channel(k, c);
    for (int64_t j = c * k.length; j < (c + 1) * k.length; ++j) {
      high[j] = channel.centre.high, low[j] = channel.centre.low;
      factor[j] = channel.factor, summand[j] = channel.summand;
    }
  }
  for_row_chunks(k, kCost, [&](int64_t first, int64_t last, int64_t) {
    for (int64_t r = first; r < last; ++r) {
      const T* x = k.x + r * columns;
      const T* residual = k.residual == nullptr ? nullptr : k.residual + r * columns;
      write_run(k.out + r * columns, columns, streamed, [&](int64_t j, int64_t live) EINKORN_LAMBDA {
        const Vec<Number<T>> off = (load_n(x + j, live) - load_n(high + j, live)) - load_n(low + j, live);
        Vec<Number<T>> v = off * load_n(factor + j, live) + load_n(summand + j, live);
        if (residual != nullptr) v += load_n(residual + j, live);
        return kActivated ? activate(v, k.activation) : v;
      });
    }
    if (streamed) finish_streaming();
  });
}

// --- backward -----------------------------------------------------------------------------------

// gx = g factor - constant - (x - centre) slope
template <class T>
struct ChannelGrad {
  Centre<Number<T>> centre;
  Number<T> factor, constant, slope;

  EINKORN_INLINE ChannelGrad(const BatchNormGrad<T>& k, int64_t c, double g_sum, double x_sum) : centre(k.mean[c]) {
    const double count = static_cast<double>(k.batch * k.length), rstd = k.rstd[c];
    const double a = rstd * (k.weight == nullptr ? 1 : static_cast<double>(k.weight[c]));
    factor = static_cast<Number<T>>(a);
    constant = static_cast<Number<T>>(k.training ? a * g_sum / count : 0);
    slope = static_cast<Number<T>>(k.training ? a * rstd * x_sum / count : 0);
  }
};

template <bool kActivated, class T>
EINKORN_INLINE Vec<Number<T>> gradient(const BatchNormGrad<T>& k, int64_t at, int64_t live) {
  const Vec<Number<T>> g = load_n(k.g + at, live);
  return kActivated ? activation_grad(g, load_n(k.y + at, live), k.activation) : g;
}

template <class T>
EINKORN_INLINE void give_sums(const BatchNormGrad<T>& k, int64_t c, double g_sum, double x_sum) {
  if (k.gweight != nullptr) k.gweight[c] = static_cast<Number<T>>(x_sum);
  if (k.gbias != nullptr) k.gbias[c] = static_cast<Number<T>>(g_sum);
}

template <bool kActivated, class T>
EINKORN_INLINE void write_gradient(const BatchNormGrad<T>& k, const ChannelGrad<T>& channel, int64_t at, int64_t n,
                                   bool streamed) {
  if (k.gresidual != nullptr)
    write_run(k.gresidual + at, n, streamed,
              [&](int64_t i, int64_t live) EINKORN_LAMBDA { return gradient<kActivated>(k, at + i, live); });
  if (k.gx == nullptr) return;
  const T* x = k.x + at;
  write_run(k.gx + at, n, streamed, [&](int64_t i, int64_t live) EINKORN_LAMBDA {
    const Vec<Number<T>> g = gradient<kActivated>(k, at + i, live) * channel.factor;
    if (!k.training) return g;
    return (g - channel.constant) - channel.centre.from(load_n(x + i, live)) * channel.slope;
  });
}

template <bool kActivated, class T>
void planes_backward(const BatchNormGrad<T>& k, bool streamed) {
  const BatchNormGradParts<T> parts = carve<BatchNormGradParts<T>>(k);
  const bool summed = k.gweight != nullptr || k.gbias != nullptr || (k.training && k.gx != nullptr);
  if (summed) {
    const Pieces pieces(k.batch, k.channels, k.length);
    const int64_t step = k.channels * k.length;
    const double cost = kGradCost * static_cast<double>(pieces.runs * pieces.length);
    parallel_for(k.ws, k.channels * pieces.count, cost, [&](int64_t task, int) {
      const int64_t c = task / pieces.count, p = task % pieces.count;
      const int64_t start = pieces.first_run(p) * step + c * k.length + pieces.begin(p);
      const Centre<Number<T>> centre(k.mean[c]);
      const Number<T> rstd = static_cast<Number<T>>(k.rstd[c]);
      double g_sum = 0, x_sum = 0;
      sums_of<Number<T>>(pieces.runs_of(p), pieces.length_of(p), g_sum, x_sum,
                         [&](int64_t run, int64_t i, int64_t live, Vec<Number<T>>& a, Vec<Number<T>>& b)
                             EINKORN_LAMBDA {
                               const int64_t at = start + run * step + i;
                               a = gradient<kActivated>(k, at, live);
                               b = only<Number<T>>(a * (centre.from(load_n(k.x + at, live)) * rstd), live);
                             });
      parts.partial[2 * task] = g_sum;
      parts.partial[2 * task + 1] = x_sum;
      if (pieces.count > 1) return;
      give_sums(k, c, g_sum, x_sum);
      const ChannelGrad<T> channel(k, c, g_sum, x_sum);
      for (int64_t n = k.batch - 1; n >= 0; --n)  // the last runs are still near
        write_gradient<kActivated>(k, channel, (n * k.channels + c) * k.length, k.length, streamed);
      if (streamed) finish_streaming();
    });
    if (pieces.count == 1) return;
    for (int64_t c = 0; c < k.channels; ++c) {
      double g_sum = 0, x_sum = 0;
      for (int64_t p = c * pieces.count; p < (c + 1) * pieces.count; ++p) {
        g_sum += parts.partial[2 * p];
        x_sum += parts.partial[2 * p + 1];
      }
      parts.sums[2 * c] = g_sum;
      parts.sums[2 * c + 1] = x_sum;
      give_sums(k, c, g_sum, x_sum);
    }
  }
  if (k.gx == nullptr && k.gresidual == nullptr) return;
  for_all_runs(
      k, kGradCost,
      [&](int64_t at, int64_t c, int64_t n) {
        const double g_sum = summed ? parts.sums[2 * c] : 0, x_sum = summed ? parts.sums[2 * c + 1] : 0;
        write_gradient<kActivated>(k, ChannelGrad<T>(k, c, g_sum, x_sum), at, n, streamed);
      },
      [&] {
        if (streamed) finish_streaming();
      });
}

template <bool kActivated, class T>
void columns_backward(const BatchNormGrad<T>& k, bool streamed) {
  const BatchNormGradParts<T> parts = carve<BatchNormGradParts<T>>(k);
  const int64_t columns = k.channels * k.length, rows = column_rows(columns), chunks = norm_divide_up(k.batch, rows);
  Number<T>*high = parts.columns, *low = high + columns, *rstd = low + columns;
  Number<T>*factor = rstd + columns, *constant = factor + columns, *slope = constant + columns;
  for (int64_t j = 0; j < columns; ++j) {
    const Centre<Number<T>> centre(k.mean[j / k.length]);
    high[j] = centre.high, low[j] = centre.low;
    rstd[j] = static_cast<Number<T>>(k.rstd[j / k.length]);
  }
  const auto centred = [&](int64_t r, int64_t j, int64_t live) EINKORN_LAMBDA {
    return (load_n(k.x + r * columns + j, live) - load_n(high + j, live)) - load_n(low + j, live);
  };
  for_row_chunks(k, kGradCost, [&](int64_t first, int64_t last, int64_t chunk) {
    double* sums = parts.partial + chunk * 2 * columns;
    for_strips<Number<T>>(columns, [&]<int N>(int64_t j, int64_t live, Vectors<N>) {
      Vec<Number<T>> g_sum[N] = {}, x_sum[N] = {};
      for (int64_t r = first; r < last; ++r) EINKORN_UNROLL for (int v = 0; v < N; ++v) {
          const Vec<Number<T>> g = gradient<kActivated>(k, r * columns + j + v * kLanes<Number<T>>, live);
          g_sum[v] += g;
          x_sum[v] += g * centred(r, j + v * kLanes<Number<T>>, live);
        }
      EINKORN_UNROLL for (int v = 0; v < N; ++v) {
        store_double<Number<T>>(sums + j + v * kLanes<Number<T>>, live, g_sum[v]);
        store_double<Number<T>>(sums + columns + j + v * kLanes<Number<T>>, live,
                                x_sum[v] * load_n(rstd + j + v * kLanes<Number<T>>, live));
      }
    });
  });
  for (int64_t c = 0; c < k.channels; ++c) {
    double g_sum = 0, x_sum = 0;
    for (int64_t q = 0; q < chunks; ++q)
      for (int64_t j = c * k.length; j < (c + 1) * k.length; ++j) {
        g_sum += parts.partial[q * 2 * columns + j];
        x_sum += parts.partial[(q * 2 + 1) * columns + j];
      }
    give_sums(k, c, g_sum, x_sum);
    const ChannelGrad<T> channel(k, c, g_sum, x_sum);
    for (int64_t j = c * k.length; j < (c + 1) * k.length; ++j)
      factor[j] = channel.factor, constant[j] = channel.constant, slope[j] = channel.slope;
  }
  if (k.gx == nullptr && k.gresidual == nullptr) return;
  for_row_chunks(k, kGradCost, [&](int64_t first, int64_t last, int64_t) {
    for (int64_t r = first; r < last; ++r) {
      if (k.gresidual != nullptr)
        write_run(k.gresidual + r * columns, columns, streamed, [&](int64_t j, int64_t live) EINKORN_LAMBDA {
          return gradient<kActivated>(k, r * columns + j, live);
        });
      if (k.gx == nullptr) continue;
      write_run(k.gx + r * columns, columns, streamed, [&](int64_t j, int64_t live) EINKORN_LAMBDA {
        const Vec<Number<T>> g = gradient<kActivated>(k, r * columns + j, live) * load_n(factor + j, live);
        if (!k.training) return g;
        return (g - load_n(constant + j, live)) - centred(r, j, live) * load_n(slope + j, live);
      });
    }
    if (streamed) finish_streaming();
  });
}

}  // namespace

template <class T>
void batch_norm_forward(const BatchNorm<T>& k) {
  if (k.batch * k.length == 0 && k.training)
    for (int64_t c = 0; c < k.channels; ++c) k.mean[c] = k.rstd[c] = NAN;
  if (!k.training)
    for (int64_t c = 0; c < k.channels; ++c) {
      k.mean[c] = k.running_mean[c];
      k.rstd[c] = 1 / __builtin_sqrt(static_cast<double>(k.running_var[c]) + k.eps);
    }
  const int64_t elements = k.batch * k.channels * k.length;
  if (elements == 0) return;
  const bool streamed = elements * static_cast<int64_t>(sizeof(T)) >= kStreamFrom;
  const bool activated = k.activation != Activation::none;
  if (k.length < kShortRun)
    activated ? columns_forward<true>(k, streamed) : columns_forward<false>(k, streamed);
  else
    activated ? planes_forward<true>(k, streamed) : planes_forward<false>(k, streamed);
}

template <class T>
void batch_norm_backward(const BatchNormGrad<T>& k) {
  const int64_t elements = k.batch * k.channels * k.length;
  if (elements == 0) {
    for (int64_t c = 0; c < k.channels; ++c) give_sums(k, c, 0, 0);
    return;
  }
  const bool streamed = elements * static_cast<int64_t>(sizeof(T)) >= kStreamFrom;
  const bool activated = k.activation != Activation::none;
  if (k.length < kShortRun)
    activated ? columns_backward<true>(k, streamed) : columns_backward<false>(k, streamed);
  else
    activated ? planes_backward<true>(k, streamed) : planes_backward<false>(k, streamed);
}

EINKORN_INSTANTIATE_STORED(batch_norm_forward, BatchNorm)
EINKORN_INSTANTIATE_STORED(batch_norm_backward, BatchNormGrad)

}  // namespace einkorn::EINKORN_ISA
