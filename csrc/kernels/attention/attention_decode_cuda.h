// Attention of a few queries, as in generation: keys are cut into chunks of kDecodeKeys, a block of threads each, so that one long row
// of keys fills a card.
//
//   scores    8 lanes a key: they read it side by side and fold the product
//   weights   exp(s - m), m the chunk's largest
//   values    threads go across the width, those that are left share the keys; their sums are folded in shared memory
//
// A chunk leaves m, l and its sum of values in scratch, and a second launch joins those of a query in order.
//
// Roofline: k and v once, 32 heads of 64 x 4096 keys in float 67 MB, 0.022 ms at 3.0 TB/s; 1 FLOP a byte.
// Plan: decode_chunks: 64 registers, 4 blocks of 256 threads an SM, 4 bytes spilled in double

#pragma once

#include "kernels/attention/attention_cuda.h"

namespace einkorn::cuda {

constexpr int64_t kDecodeQueries = 4, kDecodeKeys = 512;

template <class N>
struct DecodeParts {
  N* sums;   // [rows of queries, chunks, v_width]
  N* top;    // [rows of queries, chunks]
  N* total;  // likewise
  int64_t chunks;
};

template <class T>
__global__ void __launch_bounds__(kBlock) decode_chunks(Attention<T> x, DecodeParts<Number<T>> parts) {
  using N = Number<T>;
  constexpr int kLanes = 8;  // of a key
  __shared__ N weights[kDecodeKeys];
  __shared__ N partial[kBlock];
  const AttentionProblem<N>& p = x.problem;
  const int t = static_cast<int>(threadIdx.x), lane = t % kLanes;
  for (int64_t task = blockIdx.x; task < p.batch * p.heads * p.q_len * parts.chunks; task += gridDim.x) {
    const int64_t chunk = task % parts.chunks, row = task / parts.chunks, i = row % p.q_len;
    const int64_t b = row / p.q_len / p.heads, h = row / p.q_len % p.heads, kv = h / (p.heads / p.kv_heads);
    const int64_t begin = chunk * kDecodeKeys, left = p.k_len - begin, count = left < kDecodeKeys ? left : kDecodeKeys;
    const HeadMask<N> mask(p, b, h);
    const HeadDropout<N> dropout(p, b, h);
    const T* const q = x.q.data + b * x.q.b + h * x.q.h + i * x.q.row;
    const T* const keys = x.k.data + b * x.k.b + kv * x.k.h + begin * x.k.row;
    const T* const values = x.v.data + b * x.v.b + kv * x.v.h + begin * x.v.row;

    N top = -static_cast<N>(INFINITY);
    for (int64_t first = 0; first < count; first += kBlock / kLanes) {  // whole warps, for the fold
      const int64_t j = first + t / kLanes;
      N product = 0;
      if (j < count)
        for (int64_t d = lane; d < p.width; d += kLanes) product += widened(q[d]) * widened(keys[j * x.k.row + d]);
      product = summed<kLanes>(product);
      const N score = j < count ? mask.score(product, i, begin + j) : -static_cast<N>(INFINITY);
      if (j < count && lane == 0) weights[j] = score;
      top = larger(score, top);
    }
    top = fold_group<kBlock>(top, larger<N>, shuffle_xor<N>);
    const N base = top == -static_cast<N>(INFINITY) ? N{0} : top;
    N total = 0;
    for (int64_t j = t; j < count; j += kBlock) {
      const N weight = ::exp(weights[j] - base);
      total += weight;
      weights[j] = dropout.drops ? weight * dropout.factors(0, begin + j).v[i] : weight;
    }
    total = summed<kBlock>(total);  // its barriers let all see the weights
    if (t == 0) {
      parts.top[task] = top;
      parts.total[task] = total;
    }
    for (int64_t first = 0; first < p.v_width; first += kBlock) {
      const int across = p.v_width - first < kBlock ? static_cast<int>(p.v_width - first) : kBlock;
      const int shares = kBlock / across, share = t / across, column = t % across;
      N sum = 0;
      if (share < shares)
        for (int64_t j = share; j < count; j += shares)
          sum += weights[j] * widened(values[j * x.v.row + first + column]);
      partial[t] = sum;
      __syncthreads();
      if (t < across) {
        for (int s = 1; s < shares; ++s) sum += partial[s * across + column];
        parts.sums[task * p.v_width + first + column] = sum;
      }
      __syncthreads();
    }
    __syncthreads();
  }
}

template <class T>
__global__ void join_chunks(Attention<T> x, DecodeParts<Number<T>> parts) {
  using N = Number<T>;
  const AttentionProblem<N>& p = x.problem;
  const int64_t columns = p.v_width;
  grid_stride(p.batch * p.heads * p.q_len * columns, [&](int64_t index) {
    const int64_t row = index / columns, column = index % columns, i = row % p.q_len;
    const int64_t b = row / p.q_len / p.heads, h = row / p.q_len % p.heads;
    N top = -static_cast<N>(INFINITY), total = 0, sum = 0;
    for (int64_t c = row * parts.chunks; c < (row + 1) * parts.chunks; ++c) top = larger(parts.top[c], top);
    const N base = top == -static_cast<N>(INFINITY) ? N{0} : top;
    for (int64_t c = row * parts.chunks; c < (row + 1) * parts.chunks; ++c) {
      if (parts.total[c] == 0) continue;  // a chunk that is hidden whole
      const N factor = ::exp(parts.top[c] - base);
      total += parts.total[c] * factor;
      sum += parts.sums[c * p.v_width + column] * factor;
    }
    x.out.data[b * x.out.b + h * x.out.h + i * x.out.row + column] = narrowed<T>(total == 0 ? N{0} : sum / total);
  });
}

template <class T>
void decode(const char* name, const Attention<T>& x) {
  using N = Number<T>;
  const AttentionProblem<N>& p = x.problem;
  const int64_t rows = p.batch * p.heads * p.q_len, chunks = pieces_of(p.k_len, kDecodeKeys), tasks = rows * chunks;
  const StreamScratch scratch(static_cast<size_t>(tasks * (p.v_width + 2)) * sizeof(N));
  N* const sums = scratch.as<N>();
  const DecodeParts<N> parts = {sums, sums + tasks * p.v_width, sums + tasks * (p.v_width + 1), chunks};
  launch_over(name, decode_chunks<T>, tasks * kBlock, x, parts);
  launch_over(name, join_chunks<T>, rows * (p.v_width > 0 ? p.v_width : 1), x, parts);
}

}  // namespace einkorn::cuda
