// Norms of many tensors on the GPU: a block a chunk of tensors_cuda.h leaves one number in scratch, and a warp a tensor joins those
// in order. Same bits every time.
//
// Roofline: 4 bytes an element, 2 FLOP; 67 million float32 268 MB, 0.09 ms at 3.0 TB/s.
// Plan: norm_chunks: 48 registers, 5 blocks of 256 threads an SM

#include "kernels/cuda_group.h"
#include "kernels/instantiate.h"
#include "kernels/optimizer/tensors_cuda.h"

namespace einkorn::cuda {

namespace {

// How a norm's terms are made and joined. Infinite powers: extremes, NaN before all others.
struct NormRule {
  double power;

  __device__ bool is_extreme() const { return power - power != 0; }
  __device__ double nothing() const { return is_extreme() && power < 0 ? static_cast<double>(INFINITY) : 0; }

  __device__ double join(double a, double b) const {
    if (!is_extreme()) return a + b;
    if (a != a) return a;
    return b != b || (power > 0 ? b > a : b < a) ? b : a;
  }

  template <class T>
  __device__ T term(T x) const {
    const T size = ::fabs(x);
    if (power == 2) return x * x;
    if (power == 1 || is_extreme()) return size;
    if (power == 0) return x != 0 ? T{1} : T{0};
    return static_cast<T>(::pow(static_cast<double>(size), power));
  }

  __device__ double root(double total) const {
    if (is_extreme() || power == 0 || power == 1) return total;
    return power == 2 ? ::sqrt(total) : ::pow(total, 1 / power);
  }
};

template <int kGroup>
__device__ __forceinline__ double joined(double v, const NormRule& rule) {
  return fold_group<kGroup>(
      v, [&](double a, double b) { return rule.join(a, b); }, [](double a, int d) { return shuffle_xor(a, d); });
}

// kChunk / kBlock terms a thread are added in T, then in double.
template <class T>
__global__ void __launch_bounds__(kBlock) norm_chunks(TensorNorms<T> k, Chunks chunks, double* parts) {
  const NormRule rule = {k.power};
  for_chunks(k, chunks, [&](const NormTensor<T>& tensor, int64_t begin, int64_t end) {
    double result = rule.nothing();
    T sum = 0;
    const auto take = [&](T x) {
      if (rule.is_extreme())
        result = rule.join(result, rule.term(x));
      else
        sum += rule.term(x);
    };
    for_packs<kPackOf<T>>(
        begin, end, is_aligned(tensor.x, kPackBytes),
        [&](int64_t i) {
          const auto pack = load_pack<kPackOf<T>>(tensor.x + i);
#pragma unroll
          for (int e = 0; e < kPackOf<T>; ++e) take(pack.v[e]);
        },
        [&](int64_t i) { take(tensor.x[i]); });
    result = joined<kBlock>(rule.is_extreme() ? result : static_cast<double>(sum), rule);
    if (threadIdx.x == 0) parts[chunks.first[&tensor - k.tensors] + begin / kChunk] = result;
  });
}

template <class T>
__global__ void __launch_bounds__(kBlock) finish_norms(TensorNorms<T> k, Chunks chunks, const double* parts) {
  const NormRule rule = {k.power};
  for_groups<kWarp>(k.count, [&](int64_t t, int lane, bool live) {
    double total = rule.nothing();
    for (int64_t c = chunks.first[t] + lane; c < chunks.first[t + 1]; c += kWarp) total = rule.join(total, parts[c]);
    total = rule.root(joined<kWarp>(total, rule));
    if (live && lane == 0) k.norms[t] = k.tensors[t].size == 0 ? 0 : total;
  });
}

}  // namespace

template <class T>
void tensor_norms(const TensorNorms<T>& k) {
  const Chunks chunks = chunks_of(k);
  const StreamScratch scratch(static_cast<size_t>(chunks.first[k.count]) * sizeof(double));
  launch_over("tensor_norms", norm_chunks<T>, chunks.first[k.count] * kBlock, k, chunks, scratch.as<double>());
  launch_over("tensor_norms", finish_norms<T>, static_cast<int64_t>(k.count) * kWarp, k, chunks, scratch.as<double>());
}

EINKORN_INSTANTIATE(tensor_norms, TensorNorms)

}  // namespace einkorn::cuda
