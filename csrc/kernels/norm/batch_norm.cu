// Batch norm over [N, C, L] on the GPU. All walks go by the same parts of channels, of a size that follows from the shape:
//
//   planes    channel c:  | L |.......| L |.......| L |      L >= 32: a block takes kUnits units of a channel, packs of 16 bytes where L
//                         n = 0       n = 1       n = 2      is made of them
//   columns   [N, C L]    L < 32: a thread takes a column down kRows rows; neighbouring threads are on neighbouring columns
//
//   forward    moments of each part (its mean, then squared distances from it: the second walk is in L2), joined by a warp a channel;
//              then every part is written
//   backward   sums of g and g xhat of each part, added by a warp a channel; then every part is written
//
// Roofline, [64, 64, 64, 64] float32 (67 MB): training forward 3 walks of which one or two come from L2 (50 MB), 201 MB from
// memory at most, at 3.0 TB/s 0.067 ms; backward 336 MB, 0.11 ms.
// Plan: over_planes: 64 registers, 4 blocks of 256 threads an SM
// Plan: over_columns: 64 registers (double: 80), 4 blocks of 256 threads an SM, 8 bytes spilled in double

#include "kernels/instantiate.h"
#include "kernels/norm/norm_cuda.h"

namespace einkorn::cuda {

namespace {

constexpr int64_t kShortRun = 32, kUnits = 2048, kRows = 32;

// Parts of channels. `each` units or rows a part, `parts` of a channel or column.
struct Cut {
  int64_t batch, channels, length, each, parts;

  bool by_columns() const { return length < kShortRun; }
  __host__ __device__ int64_t columns() const { return channels * length; }
  int64_t of_channel() const { return by_columns() ? parts * length : parts; }  // partial results
};

template <class Args>
Cut cut_of(const Args& k, int pack) {
  Cut cut = {k.batch, k.channels, k.length, kRows, 0};
  if (!cut.by_columns()) cut.each = kUnits;
  cut.parts = pieces_of(cut.by_columns() ? k.batch : k.batch * (k.length / pack), cut.each);
  return cut;
}

// What a walk sees of its part: channel, number of the partial result, how many elements, the first of them.
struct Part {
  int64_t channel, slot, count, first;
};

// work.run<kGroup, kPack>(part, walk) for every part, kGroup threads together; walk(body) calls body(offset of a pack).
template <int kPack, class Work>
__global__ void __launch_bounds__(kBlock) over_planes(Work work, Cut cut) {
  const int64_t units = cut.length / kPack, all = cut.batch * units;
  for (int64_t task = blockIdx.x; task < cut.channels * cut.parts; task += gridDim.x) {
    const int64_t c = quotient(task, cut.parts), begin = (task - c * cut.parts) * cut.each;
    const int64_t end = begin + cut.each < all ? begin + cut.each : all;
    const auto place = [&](int64_t q) {
      const int64_t n = quotient(q, units);
      return (n * cut.channels + c) * cut.length + (q - n * units) * kPack;
    };
    const auto walk = [&](const auto& body) {
#pragma unroll 2
      for (int64_t q = begin + threadIdx.x; q < end; q += kBlock) body(place(q));
    };
    work.template run<kBlock, kPack>(Part{c, task, (end - begin) * kPack, place(begin)}, walk);
  }
}

template <class Work>
__global__ void __launch_bounds__(kBlock) over_columns(Work work, Cut cut) {
  const int64_t columns = cut.columns(), blocks = (columns + kBlock - 1) / kBlock;
  for (int64_t task = blockIdx.x; task < blocks * cut.parts; task += gridDim.x) {
    const int64_t p = quotient(task, blocks), j = (task - p * blocks) * kBlock + threadIdx.x;
    if (j >= columns) continue;
    const int64_t begin = p * cut.each, end = begin + cut.each < cut.batch ? begin + cut.each : cut.batch;
    const int64_t c = quotient(j, cut.length), slot = (c * cut.parts + p) * cut.length + (j - c * cut.length);
    const auto walk = [&](const auto& body) {
#pragma unroll 4
      for (int64_t r = begin; r < end; ++r) body(r * columns + j);
    };
    work.template run<1, 1>(Part{c, slot, end - begin, begin * columns + j}, walk);
  }
}

template <class T, class Work>
void over_parts(const char* name, const Cut& cut, bool packs, const Work& work) {
  if (cut.by_columns())
    launch(name, over_columns<Work>, blocks_for(pieces_of(cut.columns(), kBlock) * cut.parts), kBlock, 0, work, cut);
  else if (packs)
    launch(name, over_planes<kPackOf<T>, Work>, blocks_for(cut.channels * cut.parts), kBlock, 0, work, cut);
  else
    launch(name, over_planes<1, Work>, blocks_for(cut.channels * cut.parts), kBlock, 0, work, cut);
}

template <int kGroup>
__device__ __forceinline__ bool is_first() {
  return kGroup == 1 || threadIdx.x == 0;
}

// --- forward ------------------------------------------------------------------------------------

template <class T>
struct TakeMoments {
  const T* x;
  Moments* out;

  template <int kGroup, int kPack, class Walk>
  __device__ __forceinline__ void run(const Part& part, const Walk& walk) const {
    using N = Number<T>;
    const N shift = widened(x[part.first]);
    LongSum<N> sum, distances;
    walk([&](int64_t at) {
      const Pack<N, kPack> v = load_pack<kPack>(x + at);
#pragma unroll
      for (int e = 0; e < kPack; ++e) sum.add(v.v[e] - shift);
    });
    const double count = static_cast<double>(part.count), mean = shift + summed<kGroup>(sum.value()) / count;
    const Centre<N> centre(mean);
    walk([&](int64_t at) {
      const Pack<N, kPack> v = load_pack<kPack>(x + at);
#pragma unroll
      for (int e = 0; e < kPack; ++e) distances.add(centre.from(v.v[e]) * centre.from(v.v[e]));
    });
    const double squares = summed<kGroup>(distances.value());
    if (is_first<kGroup>()) out[part.slot] = {count, mean, squares};
  }
};

// Statistics from the moments of each channel's parts, a warp a channel.
template <class T>
__global__ void __launch_bounds__(kBlock) take_statistics(BatchNorm<T> k, const Moments* parts, int64_t of_channel) {
  for_groups<kWarp>(k.channels, [&](int64_t c, int lane, bool live) {
    Moments all = {0, 0, 0};
    for (int64_t p = lane; p < of_channel; p += kWarp) all = joined(all, parts[c * of_channel + p]);
    all = joined_moments<kWarp>(all);
    if (!live || lane != 0) return;
    k.mean[c] = all.mean;
    k.rstd[c] = 1 / ::sqrt(all.squares / all.count + k.eps);
    const auto follow = [&](Number<T>* running, double now) {
      if (running != nullptr) running[c] = static_cast<Number<T>>((1 - k.momentum) * running[c] + k.momentum * now);
    };
    follow(k.running_mean, all.mean);
    follow(k.running_var, all.squares / (all.count - 1));
  });
}

template <class T>
__global__ void running_statistics(BatchNorm<T> k) {
  grid_stride(k.channels, [&](int64_t c) {
    k.mean[c] = k.running_mean[c];
    k.rstd[c] = 1 / ::sqrt(static_cast<double>(k.running_var[c]) + k.eps);
  });
}

template <class T>
struct Normalise {
  BatchNorm<T> k;

  template <int kGroup, int kPack, class Walk>
  __device__ __forceinline__ void run(const Part& part, const Walk& walk) const {
    using N = Number<T>;
    const int64_t c = part.channel;
    const Centre<N> centre(k.mean[c]);
    const N factor = static_cast<N>(k.weight == nullptr ? k.rstd[c] : k.rstd[c] * static_cast<double>(k.weight[c]));
    const N summand = k.bias == nullptr ? N{0} : k.bias[c];
    walk([&](int64_t at) {
      Pack<N, kPack> v = load_pack<kPack>(k.x + at), more = {};
      if (k.residual != nullptr) more = load_pack<kPack>(k.residual + at);
#pragma unroll
      for (int e = 0; e < kPack; ++e) {
        N y = centre.from(v.v[e]) * factor + summand;
        if (k.residual != nullptr) y += more.v[e];
        v.v[e] = activate(y, k.activation);
      }
      store_pack(k.out + at, v);
    });
  }
};

// --- backward -----------------------------------------------------------------------------------

template <int kPack, class T>
__device__ __forceinline__ Pack<Number<T>, kPack> gradient(const BatchNormGrad<T>& k, int64_t at) {
  Pack<Number<T>, kPack> g = load_pack<kPack>(k.g + at);
  if (k.activation == Activation::none) return g;
  const Pack<Number<T>, kPack> y = load_pack<kPack>(k.y + at);
#pragma unroll
  for (int e = 0; e < kPack; ++e) g.v[e] = activation_grad(g.v[e], y.v[e], k.activation);
  return g;
}

template <class T>
struct SumGradients {
  BatchNormGrad<T> k;
  TwoSums* out;

  template <int kGroup, int kPack, class Walk>
  __device__ __forceinline__ void run(const Part& part, const Walk& walk) const {
    using N = Number<T>;
    const Centre<N> centre(k.mean[part.channel]);
    const N rstd = static_cast<N>(k.rstd[part.channel]);
    LongSum<N> g_sum, x_sum;
    walk([&](int64_t at) {
      const Pack<N, kPack> g = gradient<kPack>(k, at), x = load_pack<kPack>(k.x + at);
#pragma unroll
      for (int e = 0; e < kPack; ++e) {
        g_sum.add(g.v[e]);
        x_sum.add(g.v[e] * (centre.from(x.v[e]) * rstd));
      }
    });
    const TwoSums sums = summed_both<kGroup>({g_sum.value(), x_sum.value()});
    if (is_first<kGroup>()) out[part.slot] = sums;
  }
};

// gx = g factor - constant - (x - centre) slope
template <class T>
struct WriteGradients {
  BatchNormGrad<T> k;
  const TwoSums* sums;  // of each channel; null where running statistics normalised

  template <int kGroup, int kPack, class Walk>
  __device__ __forceinline__ void run(const Part& part, const Walk& walk) const {
    using N = Number<T>;
    const int64_t c = part.channel;
    const double count = static_cast<double>(k.batch * k.length);
    const double a = k.weight == nullptr ? k.rstd[c] : k.rstd[c] * static_cast<double>(k.weight[c]);
    const Centre<N> centre(k.mean[c]);
    const N factor = static_cast<N>(a);
    const N constant = static_cast<N>(sums == nullptr ? 0 : a * sums[c].g / count);
    const N slope = static_cast<N>(sums == nullptr ? 0 : a * k.rstd[c] * sums[c].x / count);
    walk([&](int64_t at) {
      Pack<N, kPack> g = gradient<kPack>(k, at);
      if (k.gresidual != nullptr) store_pack(k.gresidual + at, g);
      if (k.gx == nullptr) return;
      Pack<N, kPack> x;
      if (sums != nullptr) x = load_pack<kPack>(k.x + at);
#pragma unroll
      for (int e = 0; e < kPack; ++e) {
        g.v[e] *= factor;
        if (sums != nullptr) g.v[e] = (g.v[e] - constant) - centre.from(x.v[e]) * slope;
      }
      store_pack(k.gx + at, g);
    });
  }
};

}  // namespace

template <class T>
void batch_norm_forward(const BatchNorm<T>& k) {
  const char* const name = "batch_norm_forward";
  if (!k.training)
    launch_over(name, running_statistics<T>, k.channels, k);
  else if (k.batch * k.length == 0)
    launch_over(name, clear_statistics<0>, k.channels, k.mean, k.rstd, k.channels);
  if (k.batch * k.channels * k.length == 0) return;
  const bool packs = takes_packs_of<T>(k.length, k.x, k.residual, k.out);
  const Cut cut = cut_of(k, packs ? kPackOf<T> : 1);
  if (k.training) {
    const StreamScratch parts(static_cast<size_t>(cut.channels * cut.of_channel()) * sizeof(Moments));
    over_parts<T>(name, cut, packs, TakeMoments<T>{k.x, parts.as<Moments>()});
    launch_over(name, take_statistics<T>, k.channels * kWarp, k, parts.as<Moments>(), cut.of_channel());
  }
  over_parts<T>(name, cut, packs, Normalise<T>{k});
}

template <class T>
void batch_norm_backward(const BatchNormGrad<T>& k) {
  const char* const name = "batch_norm_backward";
  if (k.batch * k.channels * k.length == 0) {
    launch_over(name, clear_sums<Number<T>>, k.channels, k.gweight, k.gbias, k.channels);
    return;
  }
  const bool packs = takes_packs_of<T>(k.length, k.g, k.y, k.x, k.gx, k.gresidual);
  const Cut cut = cut_of(k, packs ? kPackOf<T> : 1);
  const bool through = k.training && k.gx != nullptr, summed = k.gweight != nullptr || k.gbias != nullptr || through;
  const int64_t partial = summed ? cut.channels * cut.of_channel() : 0;
  const StreamScratch scratch(static_cast<size_t>(partial + (through ? k.channels : 0)) * sizeof(TwoSums));
  TwoSums* const parts = scratch.as<TwoSums>();
  TwoSums* const sums = through ? parts + partial : nullptr;
  if (summed) {
    over_parts<T>(name, cut, packs, SumGradients<T>{k, parts});
    const ChannelSums<Number<T>> total = {k.gweight,        k.gbias,          sums, parts, k.channels,
                                          cut.of_channel(), cut.of_channel(), 0};
    launch_over(name, channel_sums<Number<T>>, k.channels * kWarp, total);
  }
  if (k.gx != nullptr || k.gresidual != nullptr) over_parts<T>(name, cut, packs, WriteGradients<T>{k, sums});
}

EINKORN_INSTANTIATE_STORED(batch_norm_forward, BatchNorm)
EINKORN_INSTANTIATE_STORED(batch_norm_backward, BatchNormGrad)

}  // namespace einkorn::cuda
