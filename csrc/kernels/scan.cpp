// Scans: each line of x is walked once; lines that lie side by side are walked together, 64 at a time.
//
//   inner = 1: n neighbours, a line after the other       inner > 1: columns
//   x[o]  ------------>                                   | | | | | | |   64 running values in registers
//         ------------>                                   v v v v v v v   and the L1 cache
//
// A task is a block of lines of one o.

#include "kernels/scan.h"

#include <math.h>

#include "kernels/instantiate.h"
#include "simd/simd.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr int64_t kLines = 64;
constexpr int64_t kTask = 16384;  // elements of a task, about

// Calls body(offset of the first element, lines) for blocks of lines; elements of a line are `inner` apart.
template <class Args, class Body>
EINKORN_INLINE void for_lines(const Args& k, double cost, const Body& body) {
  const int64_t blocks = (k.inner + kLines - 1) / kLines;
  const int64_t all = k.outer * blocks, size = k.n * (k.inner < kLines ? k.inner : kLines);
  const int64_t together = size >= kTask || size == 0 ? 1 : kTask / size;
  if (all == 0) return;
  parallel_for(k.ws, (all + together - 1) / together, cost * static_cast<double>(size * together),
               [&](int64_t task, int) {
                 const int64_t end = (task + 1) * together < all ? (task + 1) * together : all;
                 for (int64_t block = task * together; block < end; ++block) {
                   const int64_t first = block % blocks * kLines;
                   const int64_t lines = k.inner - first < kLines ? k.inner - first : kLines;
                   body(block / blocks * k.n * k.inner + first, lines);
                 }
               });
}

// out = running combination of x, from `start` on; combine(running value, number) in double.
template <class T, class Combine>
EINKORN_INLINE void scan(const Scan<T>& k, double cost, double start, const Combine& combine) {
  const int64_t step = k.reverse ? -k.inner : k.inner;
  for_lines(k, cost, [&](int64_t offset, int64_t lines) {
    const int64_t first = offset + (k.reverse && k.n > 0 ? (k.n - 1) * k.inner : 0);
    const T* x = k.x + first;
    T* out = k.out + first;
    if (lines == 1) {
      double running = start;
      for (int64_t j = 0; j < k.n; ++j, x += step, out += step) *out = static_cast<T>(running = combine(running, *x));
      return;
    }
    double running[kLines];
    for (int64_t i = 0; i < lines; ++i) running[i] = start;
    for (int64_t j = 0; j < k.n; ++j, x += step, out += step)
      for (int64_t i = 0; i < lines; ++i) out[i] = static_cast<T>(running[i] = combine(running[i], x[i]));
  });
}

}  // namespace

template <class T>
void cumsum(const Scan<T>& k) {
  scan(k, 1.0, 0.0, [](double sum, T x) { return sum + static_cast<double>(x); });
}

template <class T>
void cumprod(const Scan<T>& k) {
  scan(k, 1.0, 1.0, [](double product, T x) { return product * static_cast<double>(x); });
}

template <class T>
void log_cumsum_exp(const Scan<T>& k) {
  scan(k, 20.0, -INFINITY, [](double so_far, T x) -> double {
    const double v = static_cast<double>(x), large = so_far > v ? so_far : v, small = so_far > v ? v : so_far;
    if (v != v || so_far != so_far) return so_far + v;
    return large == small ? large + 0.69314718055994530942 * (large > -INFINITY)
                          : large + ::log1p(::exp(small - large));
  });
}

// Before the first 0 of a line the slopes are quotients of sums, at it a sum of products, behind it 0: each product that the
// later ones are part of has that 0.
template <class T>
void cumprod_grad(const CumprodGrad<T>& k) {
  for_lines(k, 3.0, [&](int64_t offset, int64_t lines) {
    for (int64_t i = 0; i < lines; ++i) {
      const T* const x = k.x + offset + i;
      const T* const g = k.g + offset + i;
      T* const gx = k.gx + offset + i;
      int64_t zero = 0;
      double product = 1;
      for (; zero < k.n && x[zero * k.inner] != 0; ++zero) {
        product *= static_cast<double>(x[zero * k.inner]);
        gx[zero * k.inner] = static_cast<T>(product);
      }
      double sum = 0, rest = product;
      for (int64_t j = zero; j < k.n; ++j) {
        if (j > zero) rest *= static_cast<double>(x[j * k.inner]);
        sum += static_cast<double>(g[j * k.inner]) * rest;
        gx[j * k.inner] = 0;
      }
      if (zero < k.n) gx[zero * k.inner] = static_cast<T>(sum);
      sum = 0;
      for (int64_t j = zero - 1; j >= 0; --j) {
        sum += static_cast<double>(g[j * k.inner]) * static_cast<double>(gx[j * k.inner]);
        gx[j * k.inner] = static_cast<T>(sum / static_cast<double>(x[j * k.inner]));
      }
    }
  });
}

template <class T>
void cumulative_extreme(const CumulativeExtreme<T>& k) {
  for_lines(k, 1.0, [&](int64_t offset, int64_t lines) {
    for (int64_t i = 0; i < lines; ++i) {
      const T* x = k.x + offset + i;
      T best = 0;
      int64_t at = 0;
      for (int64_t j = 0; j < k.n; ++j, x += k.inner) {
        // The last of equals; a NaN stays, the last one too.
        if (j == 0 || *x != *x || (best == best && (k.smallest ? *x <= best : *x >= best))) {
          best = *x;
          at = j;
        }
        k.out[offset + i + j * k.inner] = best;
        k.index[offset + i + j * k.inner] = at;
      }
    }
  });
}

template <class T>
void count_nonzero(const CountNonzero<T>& k) {
  const int64_t row = k.n * k.inner;
  if (row == 0) {
    for (int64_t i = 0; i < k.outer * k.inner; ++i) k.out[i] = 0;
    return;
  }
  for_lines(k, 0.3, [&](int64_t offset, int64_t lines) {
    int64_t* const out = k.out + offset / row * k.inner + offset % row;
    const T* const x = k.x + offset;
    if (k.inner == 1) {
      int64_t count = 0;
      for (int64_t j = 0; j < k.n; ++j) count += x[j] != 0;
      *out = count;
      return;
    }
    for (int64_t i = 0; i < lines; ++i) out[i] = 0;
    for (int64_t j = 0; j < k.n; ++j)
      for (int64_t i = 0; i < lines; ++i) out[i] += x[j * k.inner + i] != 0;
  });
}

// Counts go through the numbers one after the other, on one thread: in order, so that sums of weights have one order.
template <class T>
void count_bins(const CountBins<T>& k) {
  for (int64_t b = 0; b < k.bins; ++b) k.out[b] = 0;
  const T width = k.high - k.low;
  for (int64_t i = 0; i < k.size; ++i) {
    const T x = k.x[i];
    if (!(x >= k.low && x <= k.high)) continue;
    const int64_t bin = static_cast<int64_t>((x - k.low) / width * static_cast<T>(k.bins));
    ++k.out[bin < k.bins ? bin : k.bins - 1];
  }
}

template <class T>
void weigh_values(const WeighValues<T>& k) {
  for (int64_t v = 0; v < k.bins; ++v) k.out[v] = 0;
  for (int64_t i = 0; i < k.size; ++i)
    if (k.index[i] >= 0 && k.index[i] < k.bins) k.out[k.index[i]] += k.weights[i];
}

void count_values(const CountValues& k) {
  for (int64_t v = 0; v < k.bins; ++v) k.out[v] = 0;
  for (int64_t i = 0; i < k.size; ++i)
    if (k.index[i] >= 0 && k.index[i] < k.bins) ++k.out[k.index[i]];
}

EINKORN_INSTANTIATE(count_bins, CountBins)
EINKORN_INSTANTIATE(weigh_values, WeighValues)
EINKORN_INSTANTIATE(cumsum, Scan)
EINKORN_INSTANTIATE(cumprod, Scan)
EINKORN_INSTANTIATE(log_cumsum_exp, Scan)
EINKORN_INSTANTIATE(cumprod_grad, CumprodGrad)
EINKORN_INSTANTIATE(cumulative_extreme, CumulativeExtreme)
EINKORN_INSTANTIATE(count_nonzero, CountNonzero)

}  // namespace einkorn::EINKORN_ISA
