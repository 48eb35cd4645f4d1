// Conditional random fields on the GPU: a block of threads walks the steps of a sequence, 8 lanes to a tag.
//
//     step t - 1     alpha_0 .. alpha_7 | alpha_8 .. alpha_15 | ..       lane l of the eight takes tags l, l + 8, ..: the largest of
//                       \   |   /                                        alpha_j + T_ji and the sum of exp(.. - largest), then the
//     step t              alpha_i                                        eight are folded by shuffles
//
// The CPU's product of a row and a table of exponentials (crf.cpp) saves exponentials, which a GPU has plenty of, and costs a column
// summed again where it vanishes. Here every sum is taken in logarithms.
//
// Backward, the walk keeps e + beta of all steps in scratch. Pairs are summed by other blocks, 32 tags to the right of one tag to the
// left: warp w takes sequences w, w + 8, .., their steps in order; the warps' sums are added in order. First and last tags are two more
// rows of that grid: sums of gemissions.
//
// Roofline: bound by the chain of steps, a barrier and tags / 8 dependent pairs of exponentials for each 32 tags, about 1 us a step at
// 50 tags: 40 steps 40 us, for as many sequences as the card has room for. Pairs: batch steps tags^2 exponentials, 32 x 40 x 50^2 =
// 3.2 million, 5 us; bytes: log_alpha and scratch once for every tag, from the cache.
// Plan: walk_tags_forward, walk_tags_backward, best_way, sum_pairs: 80 registers, 3 blocks of 256 threads an SM

#include "kernels/crf.h"
#include "kernels/cuda_group.h"
#include "kernels/instantiate.h"

namespace einkorn::cuda {

namespace {

constexpr int kLanesOfTag = 8, kTagsAtOnce = kBlock / kLanesOfTag, kWarpsOfBlock = kBlock / kWarp;

template <class T>
__device__ __forceinline__ T never() {
  return -static_cast<T>(INFINITY);
}

__device__ __forceinline__ int64_t within(int64_t x, int64_t most) {
  return x < 0 ? 0 : (x > most ? most : x);
}

// log of the sum of exp(number(j)) over the tags, by kLanes lanes; all threads of the block call it.
template <int kLanes, class T, class Number>
__device__ __forceinline__ T log_sum(int64_t tags, int lane, const Number& number) {
  RunningSum<T> sum;
  for (int64_t j = lane; j < tags; j += kLanes) sum.take(number(j));
  sum = merged<kLanes>(sum);
  return sum.m + ::log(sum.s);
}

// body(tag, lane, live) for all tags, eight lanes each; all threads call body equally often.
template <class Body>
__device__ __forceinline__ void for_tags(int64_t tags, const Body& body) {
  const int lane = static_cast<int>(threadIdx.x) % kLanesOfTag, place = static_cast<int>(threadIdx.x) / kLanesOfTag;
  for (int64_t first = 0; first < tags; first += kTagsAtOnce) {
    const int64_t i = first + place;
    body(i < tags ? i : tags - 1, lane, i < tags);
  }
}

template <class T>
__device__ __forceinline__ T log_total(const T* last, const T* end, int64_t tags) {
  return log_sum<kBlock, T>(tags, static_cast<int>(threadIdx.x), [&](int64_t i) { return last[i] + end[i]; });
}

template <class T>
__global__ void __launch_bounds__(kBlock, 3) walk_tags_forward(CrfForward<T> k) {
  for (int64_t n = blockIdx.x; n < k.batch; n += gridDim.x) {
    const int64_t length = within(k.lengths[n], k.steps);
    T* const alpha = k.log_alpha + n * k.steps * k.tags;
    const T* const e = k.emissions + n * k.steps * k.tags;
    for (int64_t t = 0; t < length; ++t) {
      T* const now = alpha + t * k.tags;
      const T* const before = now - k.tags;
      for_tags(k.tags, [&](int64_t i, int lane, bool live) {
        const T sum = t == 0 ? k.start[i] : log_sum<kLanesOfTag, T>(k.tags, lane, [&](int64_t j) {
          return before[j] + k.transitions[j * k.tags + i];
        });
        if (live && lane == 0) now[i] = sum + e[t * k.tags + i];
      });
      __syncthreads();
    }
    T total = 0;
    double score = 0;
    if (length > 0) {
      total = log_total(alpha + (length - 1) * k.tags, k.end, k.tags);
      const auto chosen = [&](int64_t t) { return within(k.chosen[n * k.steps + t], k.tags - 1); };
      for (int64_t t = threadIdx.x; k.chosen != nullptr && t < length; t += kBlock) {
        const int64_t tag = chosen(t);
        const T before = t == 0 ? k.start[tag] : k.transitions[chosen(t - 1) * k.tags + tag];
        score += static_cast<double>(e[t * k.tags + tag]) + static_cast<double>(before);
        if (t == length - 1) score += static_cast<double>(k.end[tag]);
      }
      score = summed<kBlock>(score);
    }
    if (threadIdx.x == 0) k.loss[n] = k.chosen == nullptr ? total : static_cast<T>(static_cast<double>(total) - score);
  }
}

// later [batch, steps, tags]: e + beta; totals [batch]: the logarithms of all.
template <class T>
__global__ void __launch_bounds__(kBlock, 3) walk_tags_backward(CrfBackward<T> k, T* later, T* totals) {
  for (int64_t n = blockIdx.x; n < k.batch; n += gridDim.x) {
    const int64_t length = within(k.lengths[n], k.steps), at = n * k.steps * k.tags;
    const T* const alpha = k.log_alpha + at;
    const T* const e = k.emissions + at;
    T* const out = k.gemissions + at;
    for (int64_t i = length * k.tags + threadIdx.x; i < k.steps * k.tags; i += kBlock) out[i] = 0;
    const T g = k.gloss[n];
    const T total = length > 0 ? log_total(alpha + (length - 1) * k.tags, k.end, k.tags) : T{0};
    if (threadIdx.x == 0) totals[n] = total;
    for (int64_t t = length - 1; t >= 0; --t) {
      T* const now = later + at + t * k.tags;
      const T* const next = now + k.tags;
      const int64_t chosen = k.chosen == nullptr ? -1 : within(k.chosen[n * k.steps + t], k.tags - 1);
      for_tags(k.tags, [&](int64_t i, int lane, bool live) {
        const T beta = t == length - 1 ? k.end[i] : log_sum<kLanesOfTag, T>(k.tags, lane, [&](int64_t j) {
          return next[j] + k.transitions[i * k.tags + j];
        });
        if (!live || lane != 0) return;
        const int64_t place = t * k.tags + i;
        now[i] = beta + e[place];
        out[place] = (::exp(alpha[place] + beta - total) - static_cast<T>(i == chosen)) * g;
      });
      __syncthreads();
    }
  }
}

// Block (x, j): the pairs of tag j and tags 32 x on; j = tags and tags + 1: first and last tags.
template <class T>
__global__ void __launch_bounds__(kBlock, 3) sum_pairs(CrfBackward<T> k, const T* later, const T* totals) {
  __shared__ T of_warps[kWarpsOfBlock][kWarp];
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const int64_t columns = (k.tags + kWarp - 1) / kWarp;
  for (int64_t tile = blockIdx.x; tile < columns * (k.tags + 2); tile += gridDim.x) {
    const int64_t j = tile / columns, i = tile % columns * kWarp + lane;
    T sum = 0;
    for (int64_t n = warp; i < k.tags && n < k.batch; n += kWarpsOfBlock) {
      const int64_t length = within(k.lengths[n], k.steps), at = n * k.steps;
      if (length == 0) continue;
      if (j >= k.tags) {
        sum += k.gemissions[(at + (j == k.tags ? 0 : length - 1)) * k.tags + i];
        continue;
      }
      const T log_step = k.transitions[j * k.tags + i], g = k.gloss[n], total = totals[n];
      for (int64_t t = 1; t < length; ++t) {
        const T share =
            ::exp(k.log_alpha[(at + t - 1) * k.tags + j] + log_step + (later[(at + t) * k.tags + i] - total));
        const bool chosen = k.chosen != nullptr && within(k.chosen[at + t - 1], k.tags - 1) == j &&
                            within(k.chosen[at + t], k.tags - 1) == i;
        sum += (share - static_cast<T>(chosen)) * g;
      }
    }
    of_warps[warp][lane] = sum;
    __syncthreads();
    if (warp == 0 && i < k.tags) {
      for (int w = 1; w < kWarpsOfBlock; ++w) sum += of_warps[w][lane];
      (j < k.tags ? k.gtransitions + j * k.tags : j == k.tags ? k.gstart : k.gend)[i] = sum;
    }
    __syncthreads();
  }
}

// scores [batch, steps, tags]. On the way back a warp finds again where the best of the next step came from.
template <class T>
__global__ void __launch_bounds__(kBlock, 3) best_way(CrfViterbi<T> k, T* scores) {
  const auto larger_of = [](T a, T b) { return a > b ? a : b; };
  for (int64_t n = blockIdx.x; n < k.batch; n += gridDim.x) {
    const int64_t length = within(k.lengths[n], k.steps), at = n * k.steps;
    for (int64_t t = length + threadIdx.x; t < k.steps; t += kBlock) k.best[at + t] = -1;
    for (int64_t t = 0; t < length; ++t) {
      T* const now = scores + (at + t) * k.tags;
      const T* const before = now - k.tags;
      for_tags(k.tags, [&](int64_t i, int lane, bool live) {
        T most = never<T>();
        if (t == 0)
          most = k.start[i];
        else
          for (int64_t j = lane; j < k.tags; j += kLanesOfTag)
            most = larger_of(before[j] + k.transitions[j * k.tags + i], most);  // a NaN is passed by
        if (t > 0)
          most = fold_group<kLanesOfTag>(most, larger_of, [](T a, int distance) { return shuffle_xor(a, distance); });
        if (live && lane == 0) now[i] = most + k.emissions[(at + t) * k.tags + i];
      });
      __syncthreads();
    }
    if (threadIdx.x >= kWarp) continue;
    T score = 0;
    int64_t next = 0;
    for (int64_t t = length - 1; t >= 0; --t) {
      const T* const now = scores + (at + t) * k.tags;
      T most = never<T>();
      int64_t tag = 0;
      for (int64_t j = threadIdx.x; j < k.tags; j += kWarp) {
        const T x = now[j] + (t == length - 1 ? k.end[j] : k.transitions[j * k.tags + next]);
        if (x > most) most = x, tag = j;
      }
      for (int distance = kWarp / 2; distance > 0; distance /= 2) {
        const T other = shuffle_xor(most, distance);
        const int64_t of_other = shuffle_xor(tag, distance);
        if (other > most || (other == most && of_other < tag)) most = other, tag = of_other;
      }
      next = tag;
      if (t == length - 1) score = most;
      if (threadIdx.x == 0) k.best[at + t] = tag;
    }
    if (threadIdx.x == 0) k.score[n] = score;
  }
}

}  // namespace

template <class T>
void crf_forward(const CrfForward<T>& k) {
  launch_over("crf_forward", walk_tags_forward<T>, k.batch * kBlock, k);
}

template <class T>
void crf_backward(const CrfBackward<T>& k) {
  const StreamScratch scratch(static_cast<size_t>(k.batch * k.steps * k.tags + k.batch) * sizeof(T));
  T* const later = scratch.as<T>();
  T* const totals = later + k.batch * k.steps * k.tags;
  launch_over("crf_backward", walk_tags_backward<T>, k.batch * kBlock, k, later, totals);
  const int64_t tiles = pieces_of(k.tags, kWarp) * (k.tags + 2);
  launch_over("crf_backward pairs", sum_pairs<T>, tiles * kBlock, k, later, totals);
}

template <class T>
void crf_viterbi(const CrfViterbi<T>& k) {
  const StreamScratch scratch(static_cast<size_t>(k.batch * k.steps * k.tags) * sizeof(T));
  launch_over("crf_viterbi", best_way<T>, k.batch * kBlock, k, scratch.as<T>());
}

EINKORN_INSTANTIATE(crf_forward, CrfForward)
EINKORN_INSTANTIATE(crf_backward, CrfBackward)
EINKORN_INSTANTIATE(crf_viterbi, CrfViterbi)

}  // namespace einkorn::cuda
