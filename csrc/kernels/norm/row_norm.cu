// Layer, RMS and group norm on the GPU: a group of threads shares a row.
//
//      group of 4     t0 t1 t2 t3 t0 t1 t2 t3 ...     packs of 16 bytes, kept in registers from the sum on: the walks for the mean, for
//                                                     the squared distances from it and for the result read memory once
//
// A warp holds rows of up to 8 packs a thread, a block the longer ones; rows that registers do not hold, or that are not made of
// whole packs, are walked three times, from L2. The gradient holds h and xhat, twice as many registers for rows half as long.
//
// gweight and gbias are sums down the rows. Short runs (layer norm): a thread a column, chunks of kChunk rows; long ones (group norm): a
// group a run. Both write sums of two, which a warp a channel adds up in order. This reads g and x once more: in the
// launch that makes gx a block would need sums of all n channels.
//
// Roofline, [16384, 1024] float32: forward 134 MB, at 3.0 TB/s 0.045 ms; backward g and x twice and gx once, 336 MB, 0.11 ms; 14
// FLOP an element are far below. Most registers are taken where a row is held by packs of bfloat16.
// Plan: row_norm_rows: 128 registers, 2 blocks of 256 threads an SM
// Plan: row_norm_grad_rows: 192 registers, 1 block of 256 threads an SM, 4 bytes spilled

#include "kernels/instantiate.h"
#include "kernels/norm/norm_cuda.h"

namespace einkorn::cuda {

namespace {

constexpr int64_t kChunk = 64, kShortRun = 32, kBlockRow = 1024;

// body(unit, place in registers) for a thread's units of a row.
template <int kGroup, int kHeld, class Body>
__device__ __forceinline__ void for_units(int64_t units, int lane, const Body& body) {
  if constexpr (kHeld > 0) {
#pragma unroll
    for (int h = 0; h < kHeld; ++h)
      if (lane + h * kGroup < units) body(static_cast<int64_t>(lane + h * kGroup), h);
  } else {
    for (int64_t u = lane; u < units; u += kGroup) body(u, 0);
  }
}

// The weights of a row's elements from i on, one each or, in runs of whole packs, one for all; ones without weights.
template <int kPack, class N>
__device__ __forceinline__ Pack<N, kPack> weights_at(const N* weight, N without, int64_t i, int64_t run) {
  Pack<N, kPack> w;
  const bool each = run == 1;
  if (weight != nullptr && each && kPack > 1) {
    constexpr int kPart = kPackOf<N> < kPack ? kPackOf<N> : kPack;
#pragma unroll
    for (int e = 0; e < kPack; e += kPart) {
      const auto part = *reinterpret_cast<const Pack<N, kPart>*>(weight + i + e);
#pragma unroll
      for (int f = 0; f < kPart; ++f) w.v[e + f] = part.v[f];
    }
    return w;
  }
  const N value = weight == nullptr ? without : weight[each ? i : quotient(i, run)];
#pragma unroll
  for (int e = 0; e < kPack; ++e) w.v[e] = value;
  return w;
}

template <int kGroup, int kHeld, int kPack, class T>
__global__ void __launch_bounds__(kBlock) row_norm_rows(RowNorm<T> k) {
  using N = Number<T>;
  for_groups<kGroup>(k.rows, [&](int64_t r, int lane, bool live) {
    const int64_t begin = r * k.n, units = k.n / kPack, channel = r % k.groups * (k.n / k.run);
    const auto read = [&](int64_t u) {
      Pack<N, kPack> v = load_pack<kPack>(k.x + begin + u * kPack);
      if (k.residual == nullptr) return v;
      const Pack<N, kPack> more = load_pack<kPack>(k.residual + begin + u * kPack);
#pragma unroll
      for (int e = 0; e < kPack; ++e) v.v[e] += more.v[e];
      return v;
    };
    Pack<N, kPack> held[kHeld > 0 ? kHeld : 1] = {};
    const auto again = [&](int64_t u, int h) { return kHeld > 0 ? held[h] : read(u); };

    const bool centred = k.mean != nullptr;
    const N shift = !centred                ? N{0}
                    : k.residual == nullptr ? widened(k.x[begin])
                                            : widened(k.x[begin]) + widened(k.residual[begin]);
    LongSum<N, kHeld == 0> sum;
    for_units<kGroup, kHeld>(units, lane, [&](int64_t u, int h) {
      const Pack<N, kPack> v = read(u);
      if (kHeld > 0) held[h] = v;
      if (k.residual != nullptr && live) store_pack(k.total + begin + u * kPack, v);
#pragma unroll
      for (int e = 0; e < kPack; ++e) sum.add(centred ? v.v[e] - shift : v.v[e] * v.v[e]);
    });
    const double total = summed<kGroup>(sum.value()), n = static_cast<double>(k.n);
    double mean = 0, squares = total;
    if (centred) {
      mean = shift + total / n;
      const Centre<N> centre(mean);
      LongSum<N, kHeld == 0> distances;
      for_units<kGroup, kHeld>(units, lane, [&](int64_t u, int h) {
        const Pack<N, kPack> v = again(u, h);
#pragma unroll
        for (int e = 0; e < kPack; ++e) distances.add(centre.from(v.v[e]) * centre.from(v.v[e]));
      });
      squares = summed<kGroup>(distances.value());
    }
    if (!live) return;
    const double root = 1 / ::sqrt(squares / n + k.eps);
    if (lane == 0) {
      if (centred) k.mean[r] = mean;
      k.rstd[r] = root;
    }
    const Centre<N> centre(mean);
    const N rstd = static_cast<N>(root);
    const N* const weight = k.weight == nullptr ? nullptr : k.weight + channel;
    const N* const bias = k.bias == nullptr ? nullptr : k.bias + channel;
    for_units<kGroup, kHeld>(units, lane, [&](int64_t u, int h) {
      Pack<N, kPack> v = again(u, h);
      const Pack<N, kPack> w = weights_at<kPack>(weight, N{1}, u * kPack, k.run);
      const Pack<N, kPack> b = weights_at<kPack>(bias, N{0}, u * kPack, k.run);
#pragma unroll
      for (int e = 0; e < kPack; ++e) v.v[e] = activate(centre.from(v.v[e]) * rstd * w.v[e] + b.v[e], k.activation);
      store_pack(k.out + begin + u * kPack, v);
    });
  });
}

// What the gradient reads of an element: g before the activation, and xhat.
template <class T>
struct GradRow {
  Centre<Number<T>> centre;
  Number<T> rstd;

  __device__ __forceinline__ GradRow(const RowNormGrad<T>& k, int64_t r)
      : centre(k.mean == nullptr ? 0 : k.mean[r]), rstd(static_cast<Number<T>>(k.rstd[r])) {}

  template <int kPack>
  __device__ __forceinline__ void read(const RowNormGrad<T>& k, int64_t at, Pack<Number<T>, kPack>& g,
                                       Pack<Number<T>, kPack>& xhat) const {
    g = load_pack<kPack>(k.g + at);
    xhat = load_pack<kPack>(k.x + at);
    Pack<Number<T>, kPack> y;
    if (k.activation != Activation::none) y = load_pack<kPack>(k.y + at);
#pragma unroll
    for (int e = 0; e < kPack; ++e) {
      if (k.activation != Activation::none) g.v[e] = activation_grad(g.v[e], y.v[e], k.activation);
      xhat.v[e] = centre.from(xhat.v[e]) * rstd;
    }
  }
};

template <int kGroup, int kHeld, int kPack, class T>
__global__ void __launch_bounds__(kBlock) row_norm_grad_rows(RowNormGrad<T> k) {
  using N = Number<T>;
  for_groups<kGroup>(k.rows, [&](int64_t r, int lane, bool live) {
    const int64_t begin = r * k.n, units = k.n / kPack;
    const N* const weight = k.weight == nullptr ? nullptr : k.weight + r % k.groups * (k.n / k.run);
    const GradRow<T> row(k, r);
    const auto read = [&](int64_t u, Pack<N, kPack>& h, Pack<N, kPack>& xhat) {
      row.read(k, begin + u * kPack, h, xhat);
      const Pack<N, kPack> w = weights_at<kPack>(weight, N{1}, u * kPack, k.run);
#pragma unroll
      for (int e = 0; e < kPack; ++e) h.v[e] = rounded_product(h.v[e], w.v[e]);
    };
    Pack<N, kPack> held_h[kHeld > 0 ? kHeld : 1], held_x[kHeld > 0 ? kHeld : 1];
    LongSum<N, kHeld == 0> along, across;
    for_units<kGroup, kHeld>(units, lane, [&](int64_t u, int i) {
      read(u, held_h[i], held_x[i]);
#pragma unroll
      for (int e = 0; e < kPack; ++e) {
        along.add(held_h[i].v[e]);
        across.add(held_h[i].v[e] * held_x[i].v[e]);
      }
    });
    const TwoSums sums = summed_both<kGroup>({along.value(), across.value()});
    if (!live) return;
    const double n = static_cast<double>(k.n);
    const N mean_h = static_cast<N>(k.mean == nullptr ? 0 : sums.g / n), mean_x = static_cast<N>(sums.x / n);
    for_units<kGroup, kHeld>(units, lane, [&](int64_t u, int i) {
      if (kHeld == 0) read(u, held_h[i], held_x[i]);
      Pack<N, kPack> gx;
#pragma unroll
      for (int e = 0; e < kPack; ++e) gx.v[e] = ((held_h[i].v[e] - mean_h) - held_x[i].v[e] * mean_x) * row.rstd;
      if (k.addend != nullptr) {
        const Pack<N, kPack> more = load_pack<kPack>(k.addend + begin + u * kPack);
#pragma unroll
        for (int e = 0; e < kPack; ++e) gx.v[e] += more.v[e];
      }
      store_pack(k.gx + begin + u * kPack, gx);
    });
  });
}

// Sums down the columns of [samples, groups n], in chunks of kChunk samples: parts [chunks, groups n].
template <class T>
__global__ void __launch_bounds__(kBlock) row_norm_columns(RowNormGrad<T> k, TwoSums* parts) {
  const int64_t columns = k.groups * k.n, samples = k.rows / k.groups;
  const int64_t blocks = (columns + kBlock - 1) / kBlock, chunks = (samples + kChunk - 1) / kChunk;
  for (int64_t task = blockIdx.x; task < blocks * chunks; task += gridDim.x) {
    const int64_t chunk = task / blocks, j = task % blocks * kBlock + threadIdx.x;
    if (j >= columns) continue;
    const int64_t end = (chunk + 1) * kChunk < samples ? (chunk + 1) * kChunk : samples;
    LongSum<Number<T>> g_sum, x_sum;
#pragma unroll 4
    for (int64_t s = chunk * kChunk; s < end; ++s) {
      Pack<Number<T>, 1> g, xhat;
      GradRow<T>(k, s * k.groups + quotient(j, k.n)).read(k, s * columns + j, g, xhat);
      g_sum.add(g.v[0]);
      x_sum.add(g.v[0] * xhat.v[0]);
    }
    parts[chunk * columns + j] = {g_sum.value(), x_sum.value()};
  }
}

// Sums along runs: parts [rows, n / run].
template <int kGroup, class T>
__global__ void __launch_bounds__(kBlock) row_norm_runs(RowNormGrad<T> k, TwoSums* parts) {
  const int64_t channels = k.n / k.run;
  for_groups<kGroup>(k.rows * channels, [&](int64_t i, int lane, bool live) {
    const GradRow<T> row(k, quotient(i, channels));
    LongSum<Number<T>> g_sum, x_sum;
    for (int64_t j = lane; j < k.run; j += kGroup) {
      Pack<Number<T>, 1> g, xhat;
      row.read(k, i * k.run + j, g, xhat);
      g_sum.add(g.v[0]);
      x_sum.add(g.v[0] * xhat.v[0]);
    }
    const TwoSums sums = summed_both<kGroup>({g_sum.value(), x_sum.value()});
    if (live && lane == 0) parts[i] = sums;
  });
}

template <class T>
void weight_grads(const char* name, const RowNormGrad<T>& k) {
  const int64_t channels = k.n / k.run, samples = k.rows / k.groups, chunks = pieces_of(samples, kChunk);
  const bool is_short = k.run < kShortRun;
  const int64_t lines = is_short ? chunks : samples, inner = is_short ? k.run : 1;
  const int64_t stride = k.groups * channels * inner;
  const StreamScratch scratch(static_cast<size_t>(lines * stride) * sizeof(TwoSums));
  TwoSums* const parts = scratch.as<TwoSums>();
  if (is_short)
    launch(name, row_norm_columns<T>, blocks_for(pieces_of(k.groups * k.n, kBlock) * chunks), kBlock, 0, k, parts);
  else if (k.run < kBlockRow)
    launch_over(name, row_norm_runs<kWarp, T>, k.rows * channels * kWarp, k, parts);
  else
    launch_over(name, row_norm_runs<kBlock, T>, k.rows * channels * kBlock, k, parts);
  const ChannelSums<Number<T>> sums = {k.gweight,           k.gbias,       nullptr, parts,
                                       k.groups * channels, lines * inner, inner,   stride};
  launch_over(name, channel_sums<Number<T>>, sums.channels * kWarp, sums);
}

// start.template operator()<group, packs held, elements of a pack>() for rows of n.
template <class T, class Start>
void by_length(int64_t n, bool packs, int most_held, const Start& start) {
  constexpr int kPack = kPackOf<T>;
  const int64_t units = n / kPack;
  if (packs && units <= 2 * kWarp)
    start.template operator()<kWarp, 2, kPack>();
  else if (packs && most_held == 8 && units <= 8 * kWarp)
    start.template operator()<kWarp, 8, kPack>();
  else if (packs && units <= 4 * kBlock)
    start.template operator()<kBlock, 4, kPack>();
  else if (packs)
    start.template operator()<kBlock, 0, kPack>();
  else if (n < kBlockRow)
    start.template operator()<kWarp, 0, 1>();
  else
    start.template operator()<kBlock, 0, 1>();
}

// Whether packs of T meet one weight each, or weights that are packs themselves.
template <class T, class... Weights>
bool fits_weights(int64_t run, const Weights*... weights) {
  return run == 1 ? (is_aligned(weights, kPackBytes) && ...) : run % kPackOf<T> == 0;
}

}  // namespace

template <class T>
void row_norm_forward(const RowNorm<T>& k) {
  const char* const name = "row_norm_forward";
  if (k.rows * k.n == 0) {
    launch_over(name, clear_statistics<0>, k.rows, k.mean, k.rstd, k.rows);
    return;
  }
  const bool packs =
      takes_packs_of<T>(k.n, k.x, k.residual, k.out, k.total) && fits_weights<T>(k.run, k.weight, k.bias);
  by_length<T>(k.n, packs, 8, [&]<int kGroup, int kHeld, int kPack>() {
    launch_over(name, row_norm_rows<kGroup, kHeld, kPack, T>, k.rows * kGroup, k);
  });
}

template <class T>
void row_norm_backward(const RowNormGrad<T>& k) {
  const char* const name = "row_norm_backward";
  if (k.rows * k.n == 0) {
    const int64_t channels = k.n == 0 ? 0 : k.groups * (k.n / k.run);
    launch_over(name, clear_sums<Number<T>>, channels, k.gweight, k.gbias, channels);
    return;
  }
  if (k.gweight != nullptr || k.gbias != nullptr) weight_grads(name, k);
  if (k.gx == nullptr) return;
  const bool packs = takes_packs_of<T>(k.n, k.g, k.y, k.x, k.gx, k.addend) && fits_weights<T>(k.run, k.weight);
  by_length<T>(k.n, packs, 4, [&]<int kGroup, int kHeld, int kPack>() {
    launch_over(name, row_norm_grad_rows<kGroup, kHeld, kPack, T>, k.rows * kGroup, k);
  });
}

EINKORN_INSTANTIATE_STORED(row_norm_forward, RowNorm)
EINKORN_INSTANTIATE_STORED(row_norm_backward, RowNormGrad)

}  // namespace einkorn::cuda
