// Running sums, products and extremes on the GPU.
//
//   lines side by side (inner > 1)    a thread a line; neighbouring threads read neighbouring numbers
//   lines of neighbours (inner = 1)   a thread a line too: sums are of doubles, in the order of the CPU, to the last bit
//
// Long single lines are thus a chain for one thread; many lines fill the card. Counts of whole numbers go by atomics, whose order does
// not matter; sums of weights by the sort of cuda_radix.h, and a thread a bin adds up its own in order.
//
// Roofline, many lines: 8 bytes an element (float32), 256 MB 0.17 ms at 3.0 TB/s where lines lie side by side, about 4 times that where
// each thread reads a line of its own.
// Plan: scan_lines: 40 registers, 6 blocks of 256 threads an SM

#include <math.h>

#include "kernels/cuda_radix.h"
#include "kernels/instantiate.h"
#include "kernels/scan.h"

namespace einkorn::cuda {

namespace {

// body(offset of a line's first element) for every line; its elements are `inner` apart.
template <class Args, class Body>
__device__ __forceinline__ void for_lines(const Args& k, const Body& body) {
  grid_stride(k.outer * k.inner, [&](int64_t line) {
    const int64_t o = quotient(line, k.inner);
    body(o * k.n * k.inner + (line - o * k.inner), line);
  });
}

struct Sum {
  static __device__ double start() { return 0; }
  static __device__ double join(double a, double b) { return a + b; }
};

struct Product {
  static __device__ double start() { return 1; }
  static __device__ double join(double a, double b) { return a * b; }
};

struct LogSum {
  static __device__ double start() { return -INFINITY; }
  static __device__ double join(double so_far, double v) {
    const double large = so_far > v ? so_far : v, small = so_far > v ? v : so_far;
    if (v != v || so_far != so_far) return so_far + v;
    return large == small ? large + 0.69314718055994530942 * (large > -static_cast<double>(INFINITY))
                          : large + ::log1p(::exp(small - large));
  }
};

template <class Rule, class T>
__global__ void scan_lines(Scan<T> k) {
  const int64_t step = k.reverse ? -k.inner : k.inner;
  for_lines(k, [&](int64_t offset, int64_t) {
    int64_t at = offset + (k.reverse && k.n > 0 ? (k.n - 1) * k.inner : 0);
    double running = Rule::start();
    for (int64_t j = 0; j < k.n; ++j, at += step)
      k.out[at] = static_cast<T>(running = Rule::join(running, static_cast<double>(k.x[at])));
  });
}

// Before the first 0 of a line the slopes are quotients of sums, at it a sum of products, behind it 0 (scan.cpp).
template <class T>
__global__ void product_slopes(CumprodGrad<T> k) {
  for_lines(k, [&](int64_t offset, int64_t) {
    const T* const x = k.x + offset;
    const T* const g = k.g + offset;
    T* const gx = k.gx + offset;
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
  });
}

template <class T>
__global__ void extremes(CumulativeExtreme<T> k) {
  for_lines(k, [&](int64_t at, int64_t) {
    T best = 0;
    int64_t place = 0;
    for (int64_t j = 0; j < k.n; ++j, at += k.inner) {
      const T x = k.x[at];
      // The last of equals; a NaN stays, the last one too.
      if (j == 0 || x != x || (best == best && (k.smallest ? x <= best : x >= best))) best = x, place = j;
      k.out[at] = best;
      k.index[at] = place;
    }
  });
}

template <class T>
__global__ void count_lines(CountNonzero<T> k) {
  for_lines(k, [&](int64_t at, int64_t line) {
    int64_t count = 0;
    for (int64_t j = 0; j < k.n; ++j, at += k.inner) count += k.x[at] != 0;
    k.out[line] = count;
  });
}

__global__ void clear_counts(int64_t* out, int64_t bins) {
  grid_stride(bins, [&](int64_t b) { out[b] = 0; });
}

__device__ __forceinline__ void count_one(int64_t* out) {
  atomicAdd(reinterpret_cast<unsigned long long*>(out), 1ull);
}

template <class T>
__global__ void count_in_bins(CountBins<T> k) {
  const T width = k.high - k.low;
  grid_stride(k.size, [&](int64_t i) {
    const T x = k.x[i];
    if (!(x >= k.low && x <= k.high)) return;
    const int64_t bin = static_cast<int64_t>((x - k.low) / width * static_cast<T>(k.bins));
    count_one(k.out + (bin < k.bins ? bin : k.bins - 1));
  });
}

__global__ void count_each(CountValues k) {
  grid_stride(k.size, [&](int64_t i) {
    if (k.index[i] >= 0 && k.index[i] < k.bins) count_one(k.out + k.index[i]);
  });
}

template <class T>
__global__ void value_keys(WeighValues<T> k, SortRows<uint64_t> s) {
  grid_stride(k.size, [&](int64_t i) {
    const bool counts = k.index[i] >= 0 && k.index[i] < k.bins;
    s.keys[i] = static_cast<uint64_t>(counts ? k.index[i] : k.bins);
    s.places[i] = static_cast<int32_t>(i);
  });
}

template <class T>
__global__ void weigh_bins(WeighValues<T> k, SortRows<uint64_t> s) {
  grid_stride(k.bins, [&](int64_t bin) {
    T sum = 0;
    for (int64_t e = first_key(s, static_cast<uint64_t>(bin)); e < s.n && s.keys[e] == static_cast<uint64_t>(bin); ++e)
      sum += k.weights[s.places[e]];
    k.out[bin] = sum;
  });
}

}  // namespace

template <class T>
void cumsum(const Scan<T>& k) {
  launch_over("cumsum", scan_lines<Sum, T>, k.outer * k.inner, k);
}

template <class T>
void cumprod(const Scan<T>& k) {
  launch_over("cumprod", scan_lines<Product, T>, k.outer * k.inner, k);
}

template <class T>
void log_cumsum_exp(const Scan<T>& k) {
  launch_over("log_cumsum_exp", scan_lines<LogSum, T>, k.outer * k.inner, k);
}

template <class T>
void cumprod_grad(const CumprodGrad<T>& k) {
  launch_over("cumprod_grad", product_slopes<T>, k.outer * k.inner, k);
}

template <class T>
void cumulative_extreme(const CumulativeExtreme<T>& k) {
  launch_over("cumulative_extreme", extremes<T>, k.outer * k.inner, k);
}

template <class T>
void count_nonzero(const CountNonzero<T>& k) {
  launch_over("count_nonzero", count_lines<T>, k.outer * k.inner, k);
}

template <class T>
void count_bins(const CountBins<T>& k) {
  launch_over("count_bins", clear_counts, k.bins, k.out, k.bins);
  launch_over("count_bins", count_in_bins<T>, k.size, k);
}

void count_values(const CountValues& k) {
  launch_over("count_values", clear_counts, k.bins, k.out, k.bins);
  launch_over("count_values", count_each, k.size, k);
}

template <class T>
void weigh_values(const WeighValues<T>& k) {
  const char* const name = "weigh_values";
  RadixSort<uint64_t> sorting(1, k.size);
  launch_over(name, value_keys<T>, k.size, k, sorting.from);
  sorting.sort(name, bits_below(k.bins + 1));
  launch_over(name, weigh_bins<T>, k.bins, k, sorting.from);
}

EINKORN_INSTANTIATE(cumsum, Scan)
EINKORN_INSTANTIATE(cumprod, Scan)
EINKORN_INSTANTIATE(log_cumsum_exp, Scan)
EINKORN_INSTANTIATE(cumprod_grad, CumprodGrad)
EINKORN_INSTANTIATE(cumulative_extreme, CumulativeExtreme)
EINKORN_INSTANTIATE(count_nonzero, CountNonzero)
EINKORN_INSTANTIATE(count_bins, CountBins)
EINKORN_INSTANTIATE(weigh_values, WeighValues)

}  // namespace einkorn::cuda
